"""The sandbox: control plane, engine and operator on this machine, left running until they are taken down.

Called by __main__.py for `make sandbox-up` and `make sandbox-down`, and by the demo.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from realparts import images, installed
from realparts.control_plane import ControlPlane
from realparts.engine import main_daemon, running_engine
from realparts.ground import Ground, engine_with_images, side_by_side
from realparts.operator_container import OperatorContainer
from realparts.processes import exclusively
from realparts.steps import say, step


@dataclass(frozen=True)
class Sandbox:
    """One sandbox, known by its state directory, up or not."""

    state: Path

    @property
    def environment_file(self) -> Path:
        """Be what a shell reads to work with the sandbox."""
        return self.state / "env"

    def up(self) -> tuple[ControlPlane, Ground]:
        """Start what does not run. A second call repeats nothing but the start of the operator."""
        with exclusively(self.state / "lock"):
            cluster, ground = side_by_side(
                lambda: ControlPlane.start(self._cluster_state), lambda: engine_with_images(self.state)
            )
            installed.install(cluster)
            self._operator.start(ground, cluster)
            self._write_environment(cluster, ground)
        return cluster, ground

    def down(self) -> None:
        """Stop everything and remove the state directory. What was built or downloaded stays in the user's cache."""
        if not self.state.exists():
            say("the sandbox is not up")
            return
        with exclusively(self.state / "lock"), step("take the sandbox down"):
            self._clear_engine()
            ControlPlane(self._cluster_state).stop()
            shutil.rmtree(self.state)

    @property
    def _cluster_state(self) -> Path:
        return self.state / "cluster"

    @property
    def _programs(self) -> Path:
        return self.state / "bin"

    @property
    def _operator(self) -> OperatorContainer:
        return OperatorContainer(self.state / "operator")

    def _clear_engine(self) -> None:
        """Remove our engine; from the machine's take what we brought, without which it was before."""
        engine = running_engine(self.state / "engine")
        if engine is not None and engine.daemon is None:
            self._operator.remove(engine)
            images.remove_ours(engine)
        main_daemon(self.state / "engine").remove()

    def _write_environment(self, cluster: ControlPlane, ground: Ground) -> None:
        self._link_programs(cluster.kubectl_path, ground.engine.docker_path, ground.restic)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self._variables(cluster, ground).items()]
        lines.append(f'export PATH={shlex.quote(str(self._programs))}:"$PATH"')
        self.environment_file.write_text("# Written by `make sandbox-up`.\n" + "\n".join(lines) + "\n")

    def _link_programs(self, *programs: Path) -> None:
        self._programs.mkdir(exist_ok=True)
        for program in programs:
            link = self._programs / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(program)

    def _variables(self, cluster: ControlPlane, ground: Ground) -> dict[str, str]:
        ours = {"KUBECONFIG": str(cluster.kubeconfig), "KUBECACHEDIR": str(self.state / "kubectl-cache")}
        return ours | ground.engine.client_environment
