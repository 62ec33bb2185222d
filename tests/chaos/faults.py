"""What is done to a round, and how it is made good again, as a person or a machine would.

Called by campaign.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos import agent_process
from chaos.docker_api import LABEL, DockerApi
from chaos.moments import PLURALS, Sight
from chaos.place import Place
from realparts import processes
from realparts.control_plane import ETCD
from realparts.daemon import Daemon

Heal = Callable[[], object]
BALLAST = "ballast"
LEFT_BYTES = 64 << 20
STOP_SECONDS = 330
# Joins the agent's memory group, makes itself the last to be chosen, and takes all that there is.
HOG = """
import sys
open(sys.argv[1], "w").write("0")
open("/proc/self/oom_score_adj", "w").write("-1000")
held = []
while len(held) < 512:
    held.append(bytearray(b"x") * (1 << 20))
"""


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    strike: Callable[[Place, Sight], bool]
    """Do it, and say whether there was anything to hit."""
    heal: Callable[[Place], object] = lambda _: None
    alone: bool = False
    """Whether the host must come to rest while it lasts: the agent needs nobody once it has its job."""
    lasts: bool = False
    """Whether it lasts until the work has ended by itself, or for so long that one would look after it."""


def kill_agent(_: Place, sight: Sight) -> bool:
    """End process 1 of the agent at once, as a crash would."""
    return _kill(agent_process.first_process(sight.agent_id))


def kill_restic(_: Place, sight: Sight) -> bool:
    """End the restic at work."""
    return _kill(agent_process.restic(sight.agent_id))


def run_out_of_memory(_: Place, sight: Sight) -> bool:
    """Fill the agent's memory until the kernel ends the agent."""
    pid, group = agent_process.first_process(sight.agent_id), agent_process.memory_group(sight.agent_id)
    if pid is None or group is None:
        return False
    for one in agent_process.processes(sight.agent_id):
        Path(f"/proc/{one}/oom_score_adj").write_text("1000")
    hog = subprocess.run([sys.executable, "-c", HOG, group / "cgroup.procs"], capture_output=True, check=False)
    return hog.returncode in (0, 1, -signal.SIGKILL)


def docker(*words: str) -> Callable[[Place, Sight], bool]:
    """Return a fault that is a command of the docker client against the agent, named last."""

    def strike(place: Place, sight: Sight) -> bool:
        if place.api.container(sight.agent) is None:
            return False
        place.engine.docker(*words, sight.agent, check=False)
        return True

    return strike


def stop_agent(place: Place, sight: Sight) -> bool:
    """Ask Docker to stop the agent, and do not wait for it."""
    if place.api.container(sight.agent) is None:
        return False
    command: list[str | Path] = [place.engine.docker_path, "stop", sight.agent]
    quiet = subprocess.DEVNULL
    env = os.environ | place.engine.client_environment
    asked = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env, start_new_session=True)
    asked.returncode = 0  # it ends with the agent; nobody waits for it
    return True


def prune(*kinds: str) -> Callable[[Place, Sight], bool]:
    """Return a fault that tidies up: what is ours and not in use goes."""

    def strike(place: Place, _: Sight) -> bool:
        for kind in kinds:
            place.engine.docker(kind, "prune", "--force", "--filter", f"label={LABEL}/owner-uid", check=False)
        return True

    return strike


def kill_and_prune(place: Place, sight: Sight) -> bool:
    """Kill the agent by Docker, so that nothing restarts it, and prune containers."""
    return docker("kill")(place, sight) and prune("container")(place, sight)


def kill_operator(place: Place, _: Sight) -> bool:
    """End the operator at once."""
    place.operator.kill()
    return True


def terminate_operator(place: Place, _: Sight) -> bool:
    """End the operator as Kubernetes would."""
    place.operator.stop()
    return True


def kill_operator_and_remove_agent(place: Place, sight: Sight) -> bool:
    """Leave the services alone with nobody."""
    place.operator.kill()
    return docker("rm", "--force")(place, sight)


def kill_api_server(place: Place, _: Sight) -> bool:
    """End the API server at once."""
    place.cluster.kill_api_server()
    return True


def kill_etcd(place: Place, _: Sight) -> bool:
    """End etcd at once; the API server stays and answers with errors."""
    processes.kill(ETCD, place.cluster.state)
    return True


def kill_dockerd(*, live_restore: bool) -> Callable[[Place, Sight], bool]:
    """Return a fault that ends dockerd at once and starts it again."""

    def strike(place: Place, _: Sight) -> bool:
        place.daemon.kill()
        place.start_engine(live_restore=live_restore)
        return True

    return strike


def reboot(place: Place, _: Sight) -> bool:
    """End dockerd and every process of every container, as a power cut would, and boot."""
    kill_containers(place.daemon, place.api)
    place.start_engine(live_restore=False)
    return True


def kill_containers(daemon: Daemon, api: DockerApi) -> None:
    """End dockerd, then everything that it held: nothing gets a signal that it could answer."""
    ids = [one["Id"] for one in api.containers()]
    daemon.kill()
    for pid in (*_shims(daemon.bridge), *(pid for id_ in ids for pid in agent_process.processes(id_))):
        _kill(pid)


def end_shim(daemon: Daemon, container_id: str) -> None:
    """End the process that holds a container."""
    for pid in _shims(daemon.bridge, container_id):
        _kill(pid)


def cut_network(place: Place, _: Sight) -> bool:
    """Cut the way from the operator to the host."""
    place.way.cut()
    return True


def fill_disk(place: Place, _: Sight) -> bool:
    """Leave no byte free where the repository lies."""
    free = os.statvfs(place.disk)
    with (place.disk / BALLAST).open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize)
    return True


def fill_disk_beside_volumes(place: Place, _: Sight) -> bool:
    """Leave less free beside the volumes than a stage must, and enough for the services."""
    free = os.statvfs(place.volumes_disk)
    with (place.volumes_disk / BALLAST).open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - LEFT_BYTES)
    return True


def free_disk_beside_volumes(place: Place) -> None:
    """Make room again."""
    (place.volumes_disk / BALLAST).unlink(missing_ok=True)


def free_disk(place: Place) -> None:
    """Make room again."""
    (place.disk / BALLAST).unlink(missing_ok=True)


def cancel(place: Place, sight: Sight) -> bool:
    """Ask for the end of the work."""
    place.objects.annotate(PLURALS[sight.work], sight.name, "cancel-requested", "yes")
    return True


def delete(place: Place, sight: Sight) -> bool:
    """Delete the run or restore."""
    place.objects.delete(PLURALS[sight.work], sight.name)
    return True


def _start_operator(place: Place) -> None:
    place.operator.start()


def _start_cluster(place: Place) -> None:
    place.cluster.start_api_server()


FAULTS: dict[str, Fault] = {
    "agent-killed": Fault(kill_agent),
    "agent-out-of-memory": Fault(run_out_of_memory),
    "docker-stop": Fault(stop_agent),
    "docker-kill": Fault(docker("kill")),
    "docker-rm": Fault(docker("rm", "--force")),
    "docker-kill-and-container-prune": Fault(kill_and_prune),
    "container-prune": Fault(prune("container")),
    "volume-prune": Fault(prune("volume")),
    "restic-killed": Fault(kill_restic),
    "operator-killed": Fault(kill_operator, _start_operator, alone=True),
    "operator-terminated": Fault(terminate_operator, _start_operator, alone=True),
    "operator-killed-and-agent-removed": Fault(kill_operator_and_remove_agent, _start_operator),
    "api-server-killed": Fault(kill_api_server, _start_cluster, alone=True),
    "etcd-killed": Fault(kill_etcd, _start_cluster, alone=True),
    "dockerd-killed-with-live-restore": Fault(kill_dockerd(live_restore=True)),
    "dockerd-killed": Fault(kill_dockerd(live_restore=False)),
    "host-rebooted": Fault(reboot),
    "network-cut": Fault(cut_network, lambda place: place.way.mend(), alone=True),
    "disk-full": Fault(fill_disk, free_disk, lasts=True),
    "disk-full-beside-volumes": Fault(fill_disk_beside_volumes, free_disk_beside_volumes, lasts=True),
    "cancelled": Fault(cancel),
    "deleted": Fault(delete),
}


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _shims(namespace: str, container_id: str = "") -> Iterable[int]:
    """Return the processes that hold the containers of an engine, or one of them, which outlive it."""
    wanted = b"\0-namespace\0%b\0-id\0%b" % (namespace.encode(), container_id.encode())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "cmdline").read_bytes():
                yield int(process.name)
        except OSError:
            continue
