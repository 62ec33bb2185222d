"""A copy of a volume, made beside it while services run and put right once they are down, from which is archived.

`staging.py` is the way in. Nothing here knows of jobs, restic or the engine. Every error after which a run goes on
without its stage is a `StageUnusable`.
"""
