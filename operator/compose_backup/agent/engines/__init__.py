"""The programs that archive. Called by agent/backup.py, restore.py, probe.py and catalog.py."""
