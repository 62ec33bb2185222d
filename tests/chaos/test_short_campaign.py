"""Each kind of fault once, where it hurts, and everything is as it was: a campaign of minutes.

Run by pytest. `make chaos` plays as many rounds as one likes.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from chaos.campaign import begun
from chaos.place import made
from chaos.schedule import short
from realparts import existing_cluster
from realparts.control_plane import ControlPlane
from realparts.ground import Ground

# What is tried changes with the faults and moments that there are, not with whoever runs it.
SEED = zlib.crc32(b"a short campaign")


@pytest.mark.skipif(existing_cluster.is_wanted(), reason="the parts of an existing cluster are not ours to kill")
def test_each_kind_of_fault_once(prepared: Ground, tmp_path: Path) -> None:
    plane = ControlPlane.start(tmp_path / "control-plane")
    try:
        with made(plane, prepared, tmp_path / "place", retries=0) as place:
            campaign = begun(place, proves_each=False)
            for one in short(SEED):
                entry = campaign.play(one)
                assert entry.objections == (), (
                    f"{one}\nplay it again: make chaos SHORT=yes SEED={SEED} ROUND={one.number}"
                )
            assert campaign.next_run() == []
    finally:
        plane.stop()
