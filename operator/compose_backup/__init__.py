"""The Compose Backup Operator: declared backups of Docker Compose volumes. Imported by kopf (handlers) and by the agent."""
