"""The operator's log: one line a change, nothing for each event. Called by handlers.py at start."""

from __future__ import annotations

import logging


def configure_logging() -> None:
    """Quieten the libraries that tell every event and request; our own lines stay at INFO."""
    for name in ("kopf.objects", "kubernetes", "urllib3", "docker", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("compose_backup").setLevel(logging.INFO)
