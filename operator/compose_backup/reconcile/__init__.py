"""One pass over one object of one kind: gather facts, decide, act once, write status once. Called by handlers.py."""
