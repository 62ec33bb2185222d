"""Progress over all volumes of a job, out of restic's progress on one; pure.

Called by agent/backup.py and agent/restore.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compose_backup.agent.engines.restic_output import Message
from compose_backup.api.backup_run import Progress


class Tally:
    """Adds up the volumes that are done, the one at work, and what is expected of the others."""

    def __init__(self, volumes: Sequence[str], expected: Mapping[str, int]) -> None:
        """`expected` is the size of each volume in bytes as far as known, for example from its last snapshot."""
        self._totals = {name: expected.get(name, 0) for name in volumes}
        self._done = dict.fromkeys(volumes, 0)
        self._files = dict.fromkeys(volumes, 0)

    def take(self, volume: str, status: Message) -> Progress:
        """Take one status line of restic's backup or restore, and return the whole."""
        self._done[volume] = _sum(status, "bytes_done", "bytes_restored", "bytes_skipped")
        self._files[volume] = _sum(status, "files_done", "files_restored", "files_skipped")
        # restic still counts while it works: its total grows, and until then the last size is the better estimate. What
        # a restore skips is not in its total.
        self._totals[volume] = max(self._totals[volume], _sum(status, "total_bytes", "bytes_skipped"))
        return self._whole(volume)

    def finish(self, volume: str, total_bytes: int, files: int) -> Progress:
        """Take the end of a volume, and return the whole."""
        self._done[volume] = self._totals[volume] = total_bytes
        self._files[volume] = files
        return self._whole(volume)

    def _whole(self, volume: str) -> Progress:
        done = sum(self._done.values())
        total = max(sum(self._totals.values()), done)
        return Progress(
            percent=100 * done // total if total else 0,
            bytes_done=done,
            bytes_total=total,
            files_done=sum(self._files.values()),
            volume=volume,
        )


def _sum(status: Message, *fields: str) -> int:
    """Return the sum of fields, of which a backup has the first and a restore the others; zeros are absent."""
    return sum(int(status.get(field, 0)) for field in fields)
