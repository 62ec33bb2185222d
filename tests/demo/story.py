"""The story of examples/01-first-backup: archived, damaged, brought back, with everything that `kubectl` shows of it.

Called by __main__.py.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from demo.narrator import Narrator, StoryBroken
from realparts.engine import MACHINE_ENGINE
from realparts.ground import REPOSITORY
from realparts.sandbox import Sandbox
from realparts.trees import Fingerprint, differences, fingerprint

EXAMPLE = REPOSITORY / "examples" / "01-first-backup"
ARCHIVES = Path("/srv/backups/first-backup")
COMPOSE = "docker compose --file project/compose.yaml"
KUBECTL = "kubectl --namespace first-backup"
SERVICE = "wiki-wiki-1"
VOLUMES = ("wiki_pages", "wiki_uploads")


def _seen(state: str) -> str:
    """Return the command that waits until the service is in a state, as `docker ps` calls it, and shows it."""
    look = f"docker ps --all --filter name={SERVICE} --format '{{{{.Names}}}}: {{{{.Status}}}}'"
    return f'timeout 60 sh -c "until {look} | grep {state}; do sleep 0.1; done"'


@dataclass(frozen=True)
class Story:
    """The story on one sandbox that is up."""

    sandbox: Sandbox

    @property
    def narrator(self) -> Narrator:
        """Be who tells it."""
        return Narrator(EXAMPLE, self.sandbox.environment_file)

    def tell(self) -> None:
        """Tell the whole story. Raises StoryBroken when a part does not hold."""
        self.forget()
        if ARCHIVES.exists():
            raise StoryBroken(f"{ARCHIVES} exists and was not made by the demo of this sandbox: move it away")
        before = self._a_project_with_data()
        self._declare()
        self._back_up()
        self._kill_an_agent()
        self._open_with_plain_restic()
        self._damage(before)
        self._restore()
        self._compare(before)
        self.narrator.tell("Everything that happened, as Events:")
        self.narrator.show(f"{KUBECTL} get events --sort-by=.metadata.creationTimestamp")

    def forget(self) -> None:
        """Remove what an earlier demo of this sandbox left, and nothing of anybody else."""
        if not self._mark.exists():
            return
        narrator = self.narrator
        narrator.attempt("kubectl delete namespace first-backup --ignore-not-found")
        narrator.attempt(f"{COMPOSE} down --volumes --timeout 1")
        # The host remembers which repository was seen at a place: there, none would be created again.
        marker = f"--filter label=backup.dockerwarts.io/repository-location=path:{ARCHIVES}"
        narrator.attempt(f"docker volume ls --quiet {marker} | xargs --no-run-if-empty docker volume rm")
        shutil.rmtree(ARCHIVES, ignore_errors=True)
        with suppress(OSError):  # other archives lie there, or the story ended before it was made
            ARCHIVES.parent.rmdir()
        self._mark.unlink()

    @property
    def _mark(self) -> Path:
        return self.sandbox.state / "demo"

    def _a_project_with_data(self) -> Fingerprint:
        narrator = self.narrator
        narrator.tell("A Compose project runs on a Docker host, with data in two volumes.")
        self._mark.touch()
        narrator.show(f"{COMPOSE} up --detach --wait")
        narrator.show(f"{COMPOSE} exec wiki ls -lnR /pages /uploads")
        return self._fingerprint()

    def _declare(self) -> None:
        narrator = self.narrator
        narrator.tell("The host and a restic repository in one of its directories are declared.")
        narrator.show(f"mkdir -p {ARCHIVES.parent}")
        narrator.show("kubectl apply -f 1-host-and-repository.yaml")
        self._say_where_the_socket_is()
        ready = "--for=condition=Ready --timeout=60s"
        narrator.show(f"{KUBECTL} wait {ready} composehost/this-machine archiverepository/main")
        narrator.show(f"{KUBECTL} get composehosts,archiverepositories")
        narrator.tell("So is what is archived, and when. No policy covered these volumes until now.")
        narrator.show("kubectl apply -f 2-policy.yaml")
        narrator.show(f"{KUBECTL} wait {ready} backuppolicy/nightly")
        narrator.show(f"{KUBECTL} get backuppolicies")

    def _say_where_the_socket_is(self) -> None:
        """An engine of the sandbox's own has its socket elsewhere; agents are given it by its path on the host."""
        docker_host = self.narrator.ask("echo $DOCKER_HOST")
        if docker_host != MACHINE_ENGINE:
            socket = docker_host.removeprefix("unix://")
            patch = f'{{"spec":{{"agent":{{"dockerSocket":"{socket}"}}}}}}'
            self.narrator.show(f"{KUBECTL} patch composehost this-machine --type=merge --patch='{patch}'")

    def _back_up(self) -> None:
        narrator = self.narrator
        narrator.tell("Nobody waits for two o'clock: a run is requested.")
        self._request_run("before-the-upgrade")
        narrator.show(f"{KUBECTL} wait --for=condition=Finished --timeout=120s backupruns --all")
        narrator.show(f"{KUBECTL} get backuppolicies,backupruns")
        self._expect_phase("backupruns", "Succeeded")

    def _request_run(self, value: str) -> None:
        request = f"backup.dockerwarts.io/run-requested={value}"
        self.narrator.show(f"{KUBECTL} annotate --overwrite backuppolicy/nightly {request}")
        handled = f"jsonpath='{{.status.lastHandledRunRequest}}'={value}"
        self.narrator.show(f"{KUBECTL} wait --for={handled} --timeout=30s backuppolicy/nightly")

    def _kill_an_agent(self) -> None:
        narrator = self.narrator
        narrator.tell("An agent is killed while the service is down …")
        self._request_run("once-more")
        narrator.show(_seen("Exited"))
        narrator.show("docker kill $(docker ps --quiet --filter label=backup.dockerwarts.io/purpose=run)")
        narrator.tell("… and the service comes back all the same, before the next attempt begins.")
        narrator.show(_seen("Up"))
        narrator.show(f"{KUBECTL} wait --for=condition=Finished --timeout=120s backupruns --all")
        columns = "NAME:.metadata.name,PHASE:.status.phase,ATTEMPTS:.status.attempts,DOWNTIME:.status.downtime"
        narrator.show(f"{KUBECTL} get backupruns -o custom-columns={columns}")
        self._expect_phase("backupruns", "Succeeded Succeeded")

    def _open_with_plain_restic(self) -> None:
        narrator = self.narrator
        narrator.tell("The archives outlive this project: plain restic opens them.")
        password = f"{KUBECTL} get secret repository-password -o jsonpath='{{.data.password}}' | base64 -d"
        narrator.show(f'export RESTIC_PASSWORD="$({password})"; restic --repo {ARCHIVES} --no-lock snapshots --compact')

    def _damage(self, before: Fingerprint) -> None:
        narrator = self.narrator
        narrator.tell("Then somebody makes a mistake …")
        narrator.show(
            f"{COMPOSE} exec wiki sh -c 'rm -r /pages/2026; echo oops > /pages/home.txt; touch /uploads/virus.exe'"
        )
        narrator.expect(before != self._fingerprint(), "nothing was damaged")

    def _restore(self) -> None:
        narrator = self.narrator
        narrator.tell("… and a RestoreRequest brings both volumes back. It stops the service, and starts it again.")
        narrator.show("kubectl apply -f 3-restore.yaml")
        narrator.show(f"{KUBECTL} wait --for=condition=Finished --timeout=120s restorerequest/bring-it-back")
        narrator.show(f"{KUBECTL} get restorerequests")
        self._expect_phase("restorerequests", "Succeeded")

    def _compare(self, before: Fingerprint) -> None:
        narrator = self.narrator
        after = self._fingerprint()
        narrator.expect(before == after, "not as it was:\n" + "\n".join(differences(before, after)))
        what = "type, owner, mode, time, links, attributes and every byte"
        narrator.tell(f"All {len(after)} files and directories are as they were: {what}.")
        narrator.show(f"{COMPOSE} ps")
        narrator.show(f"{COMPOSE} exec wiki cat /pages/latest/monday.txt")

    def _expect_phase(self, kind: str, phase: str) -> None:
        phases = self.narrator.ask(f"{KUBECTL} get {kind} -o jsonpath='{{.items[*].status.phase}}'")
        if phases != phase:
            self.narrator.show(f"{KUBECTL} get {kind} -o yaml")
        self.narrator.expect(phases == phase, f"{kind}: {phases or 'none'}, expected {phase}")

    def _fingerprint(self) -> Fingerprint:
        entries: Fingerprint = {}
        for volume in VOLUMES:
            root = Path(self.narrator.ask(f"docker volume inspect --format '{{{{.Mountpoint}}}}' {volume}"))
            entries = {**entries, **{f"{volume}/{path}": entry for path, entry in fingerprint(root).items()}}
        return entries
