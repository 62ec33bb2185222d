"""A repository, volumes and a scripted Docker Engine in a scratch directory, and the agent's jobs run on them.

restic is the real one. Used by the tests of this folder that archive and restore.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compose_backup.agent.context import Patience, Places, Surroundings
from compose_backup.agent.events import Diagnostics, Emitter
from compose_backup.agent.jobs import perform, seconds_left
from compose_backup.agent.looking import Look
from compose_backup.agent.stopping import Stop
from compose_backup.api.backup_run import VolumeResult
from compose_backup.api.job import BackupJob, CatalogJob, Event, Job, ProbeJob, Report, RepositoryAccess, RestoreJob
from compose_backup.api.journal import JournalPlan
from compose_backup.api.restore_request import ExistingData, ResolvedVolume
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from realparts import cache
from realparts.debian import unpack_from_suite

PASSWORD = "canary-7f3a"
SLOT = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
POLICY = "team/nightly"
HOST = "cluster/team/srv1"
AGENT = "compose-backup-run-uid-0"
WHOLE_MARK = "compose-backup-whole-uid-0"
HASTY = Patience(refused=0.05, in_window=0.02, afterwards=0.3, settle=0.0, poll=0.005, longest_delay=0.02, ending=2.0)


def restic_program() -> str:
    """Return Debian trixie's restic, unpacked once."""
    return str(unpack_from_suite("trixie", ["restic"], cache.root() / "debian") / "usr/bin/restic")


class ScriptedEngine:
    """An engine that answers each look with the next of a list, the last one for ever."""

    def __init__(self, *inventories: Inventory) -> None:
        self._inventories = list(inventories)

    def look(self, names: Sequence[str], containers: Sequence[str] = ()) -> Look:
        assert names
        first, *rest = self._inventories
        self._inventories = rest or [first]
        return Look(first, {one.id: f"image-of-{one.name}" for one in first.containers})

    def digest(self, image_id: str) -> str:
        return f"sha256:{image_id}"

    def create_volume(self, volume: Volume) -> None:
        self._inventories = [replace(one, volumes=(*one.volumes, volume)) for one in self._inventories]


def writing_container(volume: str, state: str = "running", started_at: str = "t1", service: str = "db") -> Container:
    """Return a Compose service that mounts a volume writable."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service}
    return Container(service, f"shop-{service}-1", "mariadb:11", state, started_at, labels, (Mount(volume, "", True),))


def plan(**settings: object) -> JournalPlan:
    """Return a plan that touches nothing, unless told otherwise."""
    base: dict[str, object] = {"purpose": "run", "owner": "BackupRun team/nightly-0", "agent": AGENT}
    return JournalPlan.model_validate(base | {"made_at": SLOT, "method": "Stop"} | settings)


def inventory(*volumes: str, containers: Sequence[Container] = ()) -> Inventory:
    """Return an engine's state with volumes of the driver `local`."""
    return Inventory(tuple(Volume(name, labels={"keep": "me"}) for name in volumes), tuple(containers))


@dataclass
class Bench:
    """One scratch directory. Volumes lie in `live/volumes/<name>`, as they are mounted in the agent."""

    root: Path
    program: str
    engine: Any = field(default_factory=lambda: ScriptedEngine(Inventory()))
    access: RepositoryAccess = field(default_factory=lambda: RepositoryAccess.model_validate({"password": PASSWORD}))
    events: list[Event] = field(default_factory=list)
    diagnostics: str = ""
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        for name in ("live/volumes", "live/manifest", "repository", "scratch", "journal", "named"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name, directory in (("volumes", "volumes"), ("manifests", "manifest")):
            link = self.root / "named" / name
            if not link.is_symlink():
                link.symlink_to(self.root / "source" / directory)

    @property
    def repository(self) -> Path:
        return self.root / "repository"

    def volume(self, name: str) -> Path:
        """Return the directory of a volume, made when it is missing."""
        directory = self.root / "live" / "volumes" / name
        directory.mkdir(exist_ok=True)
        return directory

    def named(self, name: str) -> str:
        """Return how snapshots call a volume."""
        return self.places().archived(name)

    def places(self) -> Places:
        directories = {name: str(self.root / name) for name in ("repository", "scratch", "journal", "source")}
        # As in the agent's image: what snapshots call a volume leads below whatever is archived.
        named = {name: str(self.root / "named" / name) for name in ("volumes", "manifests")}
        return Places(live=str(self.root / "live"), **directories, **named, restic=self.program)

    def perform(self, job: Job) -> Report:
        """Run one job as the agent does, in this process, and keep what it said."""
        output, errors = io.BytesIO(), io.StringIO()
        outside = Surroundings(
            places=self.places(),
            emitter=Emitter(output),
            diagnostics=Diagnostics(errors),
            stop=self.stop,
            engine=lambda: self.engine,
            patience=HASTY,
        )
        self.stop.end_after(seconds_left(job))
        report = perform(job, outside)
        outside.emitter.report(report)
        self.events = [Event.model_validate_json(line) for line in output.getvalue().splitlines()]
        self.diagnostics = errors.getvalue()
        return report

    def probe(self, *, create: bool = False) -> Report:
        return self.perform(Job(repository=self.access, probe=ProbeJob(create=create)))

    def catalog(self, **wanted: object) -> Report:
        return self.perform(Job(repository=self.access, catalog=CatalogJob.model_validate(wanted)))

    def backup(self, *volumes: str, day: int = 0, live: bool = False, **settings: object) -> Report:
        """Archive volumes; each day is a run of its own."""
        base: dict[str, object] = {
            "run": f"nightly-{day}",
            "run_uid": f"uid-{day}",
            "policy": POLICY,
            "policy_uid": "policy-uid",
            "host": HOST,
            "installation": "installation-uid",
            "attempt": 1,
            "slot": SLOT + dt.timedelta(days=day),
            "volumes": volumes,
            "plan": plan(method="None" if live else "Stop", left_running=("db",) if live else ()),
        }
        return self.perform(Job(repository=self.access, backup=BackupJob.model_validate(base | settings)))

    def archived(self, *volumes: str, **settings: object) -> tuple[VolumeResult, ...]:
        """Archive volumes that nobody uses, and return their results; the test is about what comes after."""
        self.engine = ScriptedEngine(inventory(*volumes))
        report = self.backup(*volumes, **settings)  # type: ignore[arg-type]  # day and live are among them
        assert report.backup is not None
        return report.backup.volumes

    def restore(
        self,
        *results: VolumeResult,
        existing: ExistingData = "Fail",
        include: tuple[str, ...] = (),
        created: tuple[str, ...] = (),
        **settings: object,
    ) -> Report:
        """Restore volumes to where they came from."""
        volumes = tuple(
            ResolvedVolume(source=one.name, target=one.name, snapshot_id=one.snapshot_id or "none") for one in results
        )
        base: dict[str, object] = {
            "volumes": volumes,
            "existing_data": existing,
            "include": include,
            "created": created,
            "whole_mark": {"name": WHOLE_MARK},
        }
        base |= {"plan": plan(purpose="restore", method="None")}
        return self.perform(Job(repository=self.access, restore=RestoreJob.model_validate(base | settings)))

    def restic(self, *arguments: str) -> str:
        """Run plain restic, as a person would who has nothing of ours."""
        environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(self.repository)}
        command = [self.program, "--no-cache", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    def snapshots(self) -> list[dict[str, object]]:
        """Return all snapshots, as restic lists them."""
        found: list[dict[str, object]] = json.loads(self.restic("snapshots", "--json"))
        return found


def empty_directory(directory: Path) -> None:
    """Remove what is in a directory, the directory itself stays as it is."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def without_capabilities(directory: Path, program: str, capabilities: str) -> str:
    """Return a program that runs restic without some capabilities, as the agent's container does."""
    script = directory / "weak-restic"
    script.write_text(f'#!/bin/sh\nexec setpriv --bounding-set={capabilities} "{program}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def reason_of(report: Report) -> str | None:
    """Return why a job failed, None where it did not."""
    return report.failure.reason if report.failure else None
