"""The window in which services are down: plan carried out, time measured, everything undone, whoever dies.

`window.py` is the way in for backup.py and restore.py; `recovery.py` for an agent that finds an open journal.
Only `engine.py` imports docker, and it is loaded only when an engine is asked for.
"""
