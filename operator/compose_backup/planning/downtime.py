"""What status and messages say of the services that are or were down.

Called by the passes over runs and restores while their agent works, and by the modules that compose their end.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

from compose_backup.api.backup_run import QuiescedService, QuiesceResult
from compose_backup.api.job import Window
from compose_backup.planning import humanize


def shown(quiesce: QuiesceResult | None) -> dict[str, Any]:
    """Return what a status says of the services; nothing when the agent has said nothing yet."""
    if quiesce is None:
        return {}
    was_down = any(service.downtime_seconds is not None for service in quiesce.services)
    span = dt.timedelta(seconds=quiesce.downtime_seconds)
    return {"quiesce": quiesce, "downtime": humanize.duration(span) if was_down else None}


def phase_of(window: Window | None) -> Literal["Running", "Resuming"]:
    """Return the phase of an object whose agent is alive."""
    return "Resuming" if window == "Resuming" else "Running"


def told(window: Window | None, quiesce: QuiesceResult | None) -> str | None:
    """Return what is down at the moment and since when, for the message of a condition; None when nothing is."""
    if window is None or quiesce is None:
        return None
    down = [service for service in quiesce.services if service.down_time and not service.up_time]
    if not down:
        return None
    since = min(service.down_time for service in down if service.down_time)
    names = humanize.listed(titles(down))
    act = {"Quiescing": "being stopped", "Quiesced": "down", "Resuming": "being started again, down"}[window]
    return f"{names} {act} since {since:%H:%M:%SZ}{_errors(down)}"


def titles(services: Sequence[QuiescedService]) -> list[str]:
    """Return services as people know them, each once."""
    return sorted({service.service for service in services})


def _errors(services: Sequence[QuiescedService]) -> str:
    said = [f"{service.service}: {service.error}" for service in services if service.error]
    return f" ({'; '.join(said[:3])})" if said else ""


def do_not_run(quiesce: QuiesceResult | None) -> frozenset[str]:
    """Return the containers of which an agent says in the end that they do not run."""
    services = quiesce.services if quiesce else ()
    return frozenset(one.container for one in services if one.error and not one.up_time)


def unhealthy(quiesce: QuiesceResult | None) -> str:
    """Return the end of a message that says whose health check does not pass again, or nothing."""
    sick = titles([one for one in quiesce.services if one.healthy is False]) if quiesce else []
    return f"; running again, but not healthy yet: {humanize.listed(sick)}" if sick else ""


def kept(quiesce: QuiesceResult | None) -> str:
    """Return the end of a message that says which services are kept stopped, or nothing."""
    if quiesce is None or not quiesce.kept_stopped:
        return ""
    down = titles([one for one in quiesce.services if not one.up_time])
    return f"; kept stopped: {humanize.listed(down)}" if down else ""
