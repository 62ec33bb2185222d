"""The Compose Backup Operator: declared backups of Docker Compose volumes. Loaded by kopf and by the agent."""
