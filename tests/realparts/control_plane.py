"""A Kubernetes control plane of our own: etcd, API server and controllers as processes of this machine.

Called by the fixtures of tests/conftest.py and by __main__.py.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from realparts import binaries, existing_cluster, processes
from realparts.certificates import Authority, Pair, rsa_key
from realparts.cluster import Cluster, write_kubeconfig
from realparts.existing_cluster import ExistingCluster
from realparts.steps import StepFailed, step, wait_until

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
Command = list[str | Path]
IN_START_ORDER = (ETCD, API_SERVER, CONTROLLERS)
ENABLED_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
)
# Without a port in it, tokens stay valid when the API server has to move to another port.
ISSUER = "https://kubernetes.default.svc"
MADE_BY_CONTROLLERS = "/api/v1/namespaces/default/serviceaccounts/default"
# It is ready in 1 to 5 seconds; a machine that builds images beside it takes longer.
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Ports:
    """TCP ports of the loopback address."""

    etcd: int
    etcd_peer: int
    api_server: int


def open_cluster(state: Path) -> Cluster:
    """Return the cluster that USE_EXISTING_CLUSTER asks for, otherwise our own, started."""
    return ExistingCluster(state) if existing_cluster.is_wanted() else ControlPlane.start(state)


class ControlPlane(Cluster):
    """One control plane, known by its state directory: certificates, data, ports, process ids and logs.

    Constructing it starts nothing, so that a later command can stop what an earlier one started.
    """

    def __init__(self, state: Path) -> None:
        self._state = state.absolute()

    @classmethod
    def start(cls, state: Path) -> ControlPlane:
        """Return the control plane of this directory, with whatever of it does not run started."""
        plane = cls(state)
        with processes.exclusively(plane._state / "lock"):
            if not plane._is_complete():
                plane._start()
        return plane

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._state / "admin.kubeconfig"

    @property
    def kubectl_path(self) -> Path:
        """The kubectl that came with the API server."""
        return self._binaries.kubectl

    @property
    def has_controllers(self) -> bool:
        """Whether there is a kube-controller-manager: KUBEBUILDER_ASSETS usually holds none."""
        return self._binaries.kube_controller_manager is not None

    @property
    def state(self) -> Path:
        """The state directory; `<program>.log` in it is the log of each program."""
        return self._state

    def kill_api_server(self) -> None:
        """End the API server at once, as a crash would (SIGKILL)."""
        processes.kill(API_SERVER, self._state)

    def start_api_server(self) -> None:
        """Start the API server again at the same address, and wait until it serves."""
        ControlPlane.start(self._state)

    # Most tests have a namespace of their own: two kubectl for it would cost more processor time than what they test.

    def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self._ask(f"create namespace {name}", "POST", "/api/v1/namespaces", body, HTTPStatus.CREATED)

    def delete_namespace(self, name: str) -> None:
        """Have a namespace deleted with everything in it, without waiting for it. Gone already: no error."""
        accepted = (HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)  # 409: somebody has done so already
        self._ask(f"delete namespace {name}", "DELETE", f"/api/v1/namespaces/{name}", None, *accepted)

    def stop(self) -> None:
        """Stop every process. The state stays: `start` goes on from it, removing the directory forgets it."""
        with processes.exclusively(self._state / "lock"):
            self._end_all(processes.stop)

    def _end_all(self, end: Callable[[str, Path], None]) -> None:
        for name in reversed(IN_START_ORDER):
            end(name, self._state)

    @cached_property
    def _binaries(self) -> binaries.Binaries:
        return binaries.find()

    def _wanted(self) -> tuple[str, ...]:
        return IN_START_ORDER if self.has_controllers else IN_START_ORDER[:2]

    def _missing(self) -> list[str]:
        return [name for name in self._wanted() if processes.pid_of(name, self._state) is None]

    def _is_complete(self) -> bool:
        ports = self._remembered_ports()
        return ports is not None and not self._missing() and self._serves(ports)

    def _start(self) -> None:
        _ = self._binaries  # to build them may take minutes, which no wait below allows for
        with step("start the control plane"):
            try:
                self._start_missing()
            except BaseException:
                # Nobody would know of what runs already; an API server without etcd would not end when asked.
                self._end_all(processes.kill)
                raise

    def _start_missing(self) -> None:
        ports = self._usable_ports()
        self._write_admin_kubeconfig(ports)
        commands = {ETCD: lambda: self._etcd(ports), API_SERVER: lambda: self._api_server(ports)}
        self._run_until(lambda: self._serves(ports), commands)
        if self.has_controllers:
            # Not before the API server is ready: they give up on it after ten seconds.
            commands[CONTROLLERS] = self._controllers
            self._run_until(lambda: self._answers(ports, MADE_BY_CONTROLLERS), commands)

    def _run_until(self, is_true: Callable[[], bool], commands: Mapping[str, Callable[[], Command]]) -> None:
        """Start what of these does not run, and wait for the condition.

        A program that ends is started once more: the kill that a crashed run sent may only be taking effect.
        """
        started: set[str] = set()

        def is_true_of_running() -> bool:
            for name in commands:
                if processes.pid_of(name, self._state) is None:
                    if name in started:
                        cause = f"it ended. The end of its log:\n{processes.log_tail(name, self._state)}"
                        raise StepFailed(f"start {name}", cause, self._remedy())
                    processes.start(name, commands[name](), self._state)
                    started.add(name)
            return is_true()

        title = f"wait for {', '.join(commands)}"
        wait_until(title, is_true_of_running, seconds=READY_SECONDS, remedy=self._remedy())

    def _usable_ports(self) -> Ports:
        """Return the remembered ports; new ones if somebody else has taken one since."""
        ports = self._remembered_ports()
        if ports is None or not self._are_ours(ports):
            self._end_all(processes.stop)
            ports = Ports(processes.free_port(), processes.free_port(), processes.free_port())
            self._state.mkdir(parents=True, exist_ok=True)
            (self._state / "ports.json").write_text(json.dumps(asdict(ports)))
        return ports

    def _remembered_ports(self) -> Ports | None:
        try:
            return Ports(**json.loads((self._state / "ports.json").read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def _are_ours(self, ports: Ports) -> bool:
        missing = self._missing()
        needed = {ETCD: (ports.etcd, ports.etcd_peer), API_SERVER: (ports.api_server,), CONTROLLERS: ()}
        return all(processes.is_free(port) for name in missing for port in needed[name])

    def _serves(self, ports: Ports) -> bool:
        """Ask whether the API server is ready and has made the namespace that everybody expects."""
        return all(self._answers(ports, path) for path in ("/readyz", "/api/v1/namespaces/default"))

    def _answers(self, ports: Ports, path: str) -> bool:
        try:
            return self._requested(ports, "GET", path, seconds=5)[0] == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, title: str, method: str, path: str, body: object, *accepted: HTTPStatus) -> None:
        ports = self._remembered_ports()
        if ports is None:
            raise StepFailed(title, "it was never started", self._remedy())
        try:
            status, said = self._requested(ports, method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise StepFailed(title, f"no answer: {error!r}", self._remedy()) from error
        if status not in accepted:
            raise StepFailed(title, f"the API server answered {status}: {said}", self._remedy())

    def _requested(
        self, ports: Ports, method: str, path: str, body: object = None, *, seconds: float = 20
    ) -> tuple[int, str]:
        """Send one request as administrator, and return status and content of the answer."""
        context = ssl.create_default_context(cafile=self._authority.certificate)
        context.load_cert_chain(self._admin.certificate, self._admin.key)
        connection = http.client.HTTPSConnection("127.0.0.1", ports.api_server, context=context, timeout=seconds)
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    @property
    def _authority(self) -> Authority:
        return Authority(self._state / "certificates")

    @property
    def _admin(self) -> Pair:
        return self._authority.client("admin", "/O=system:masters/CN=admin")

    @property
    def _tokens_key(self) -> Path:
        return rsa_key(self._state / "certificates" / "service-accounts.key")

    def _write_admin_kubeconfig(self, ports: Ports) -> None:
        def content(path: Path) -> str:
            return base64.b64encode(path.read_bytes()).decode()

        admin = self._admin
        write_kubeconfig(
            self.kubeconfig,
            {
                "server": f"https://127.0.0.1:{ports.api_server}",
                "certificate-authority-data": content(self._authority.certificate),
            },
            {"client-certificate-data": content(admin.certificate), "client-key-data": content(admin.key)},
        )

    # The flags of the three programs are envtest's, as far as not explained.

    def _etcd(self, ports: Ports) -> Command:
        clients = f"http://127.0.0.1:{ports.etcd}"
        return [
            self._binaries.etcd,
            f"--data-dir={self._state / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls=http://127.0.0.1:{ports.etcd_peer}",
        ]

    def _api_server(self, ports: Ports) -> Command:
        names = ("127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1")
        server = self._authority.server("api-server", names)
        return [
            self._binaries.kube_apiserver,
            f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={ports.api_server}",
            f"--cert-dir={self._state / 'certificates'}",
            f"--client-ca-file={self._authority.certificate}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self._tokens_key}",
            f"--service-account-signing-key-file={self._tokens_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            # A loopback address is no valid endpoint of the service `kubernetes`: do not try to write one.
            "--endpoint-reconciler-type=none",
        ]

    def _controllers(self) -> Command:
        program = self._binaries.kube_controller_manager
        assert program is not None  # has_controllers was asked
        return [
            program,
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            f"--service-account-private-key-file={self._tokens_key}",
            f"--root-ca-file={self._authority.certificate}",
            f"--controllers={','.join(ENABLED_CONTROLLERS)}",
        ]

    def _remedy(self) -> str:
        return f"read the logs in {self._state}; removing that directory starts anew"
