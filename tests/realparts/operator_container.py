"""The operator from its image, confined as the shipped Deployment confines it, under the shipped ServiceAccount.

Called by sandbox.py.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from dataclasses import dataclass
from pathlib import Path

from realparts import installed
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import Ground
from realparts.processes import free_port
from realparts.steps import StepFailed, say, step, wait_until

USER = 10001  # as in Dockerfile and manifests/base/deployment.yaml
LIVENESS = "--liveness="
READY_SECONDS = 60.0


@dataclass(frozen=True)
class OperatorContainer:
    """One container, known by its state directory, running or not."""

    state: Path

    @property
    def name(self) -> str:
        """Name the container so that sandboxes on one engine do not meet."""
        return f"compose-backup-operator-{hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:8]}"

    def start(self, ground: Ground, cluster: Cluster) -> None:
        """Start it, anew if it runs: with the image as it is now and a token that is valid for another day."""
        with step("start the operator from its image"):
            self.remove(ground.engine)
            port = free_port()
            ground.engine.docker("run", "--detach", *self._options(ground, cluster), *_command(ground, port))
            self._wait_until_live(ground.engine, port)

    def remove(self, engine: Engine) -> None:
        """Remove it. Not there: no error."""
        engine.docker("rm", "--force", self.name, check=False)

    def _options(self, ground: Ground, cluster: Cluster) -> list[str]:
        socket = _socket(ground.engine)
        kubeconfig = installed.operator_kubeconfig(cluster, self.state / "kubeconfig")
        os.chown(kubeconfig, USER, USER)
        settings = {
            "KUBECONFIG": "/run/kubeconfig",
            "COMPOSE_BACKUP_AGENT_IMAGE": ground.images.agent,
            # The host that it looks after is the machine that it runs on.
            "COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS": "true",
        }
        return [
            *("--name", self.name, "--restart", "unless-stopped"),
            *("--network", "host"),  # the control plane listens on the loopback address
            *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--group-add", str(socket.stat().st_gid), "--volume", f"{socket}:/var/run/docker.sock"),
            *("--volume", f"{kubeconfig}:/run/kubeconfig:ro"),
            *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
        ]

    def _wait_until_live(self, engine: Engine, port: int) -> None:
        title = "wait for the operator"
        try:
            wait_until(title, lambda: _is_live(port), seconds=READY_SECONDS, remedy="read its log above")
        except StepFailed:
            say(engine.docker("logs", "--tail", "30", self.name, check=False))
            raise


def _command(ground: Ground, port: int) -> list[str]:
    """Return image and command: the image's own but for the port, since that may be taken on this machine."""
    image = ground.images.operator
    words = json.loads(ground.engine.docker("image", "inspect", "--format", "{{json .Config.Cmd}}", image))
    ours = f"{LIVENESS}http://127.0.0.1:{port}/healthz"
    return [image, *(ours if word.startswith(LIVENESS) else word for word in words)]


def _socket(engine: Engine) -> Path:
    scheme, _, path = engine.docker_host.partition("://")
    if scheme != "unix":
        cause = f"the engine is reached by {engine.docker_host}"
        raise StepFailed(
            "start the operator from its image", cause, "unset DOCKER_HOST: the sandbox wants a local engine"
        )
    return Path(path)


def _is_live(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
