"""The cluster that USE_EXISTING_CLUSTER=true points to: nothing is started, nothing of it is harmed.

Called by control_plane.open_cluster.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from realparts import binaries
from realparts.cluster import Cluster
from realparts.steps import StepFailed, run

VARIABLE = "USE_EXISTING_CLUSTER"
REMEDY = f"let KUBECONFIG name a cluster that answers, or unset {VARIABLE}"


def is_wanted() -> bool:
    """Say whether the environment asks for it. KUBECONFIG alone is never enough: it may be production's."""
    return os.environ.get(VARIABLE, "").lower() == "true"


class ExistingCluster(Cluster):
    """The current context of KUBECONFIG, or of kubectl's default place."""

    def __init__(self, state: Path) -> None:
        self._state = state

    @cached_property
    def kubeconfig(self) -> Path:
        """A copy of the current context with everything it refers to, as one file in the state directory."""
        shown = run(
            "read the existing cluster's kubeconfig",
            (self.kubectl_path, "config", "view", "--raw", "--minify", "--flatten"),
            remedy=REMEDY,
        )
        self._state.mkdir(parents=True, exist_ok=True)
        copy = self._state / "existing.kubeconfig"
        copy.touch(mode=0o600)
        copy.write_bytes(shown)
        return copy

    @cached_property
    def kubectl_path(self) -> Path:
        """The kubectl of the cache or of the machine."""
        return binaries.find_kubectl()

    @property
    def has_controllers(self) -> bool:
        """A cluster in use runs its controllers."""
        return True

    def kill_api_server(self) -> None:
        """Refuse."""
        raise self._not_ours("kill the API server")

    def start_api_server(self) -> None:
        """Refuse."""
        raise self._not_ours("start the API server")

    def stop(self) -> None:
        """Do nothing: nothing was started."""

    def _not_ours(self, action: str) -> StepFailed:
        cause = f"{VARIABLE}=true: this cluster was not started here and is not ours to harm"
        return StepFailed(action, cause, f"run it without {VARIABLE}")

    def _remedy(self) -> str:
        return REMEDY
