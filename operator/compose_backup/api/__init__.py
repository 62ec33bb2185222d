"""What users write and what the agent is told: frozen types, from which the CRDs are generated.

Imported by every room.
"""
