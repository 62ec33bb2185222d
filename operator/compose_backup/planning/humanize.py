"""Sizes and durations as people read them in a column. Used by the modules that compose a status."""

from __future__ import annotations

import datetime as dt


def size(count: int) -> str:
    """Return bytes in binary units with at most one decimal: `12.4 GiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(value, 1) < 1024:  # what is printed, so that no `1024.0 KiB` stands there
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(span: dt.timedelta) -> str:
    """Return a duration in its two largest units: `48s`, `4m10s`, `3h5m`, `2d4h`."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600}h"


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Return names in one line, cut after the first few: `a, b and 7 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
