"""What people and machines see of the operator beside the objects: its log and its health. Used by handlers.py."""
