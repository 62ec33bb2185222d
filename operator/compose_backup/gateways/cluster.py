"""The Kubernetes API as reconciling needs it, over `kubernetes.aio`, which nothing else imports.

Requests are made through one method, which knows the operator's rights and turns every failure into the exception tree.
Built by handlers.py at start; implements the port Cluster of reconcile/ports.py.
"""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import json
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from compose_backup.api import reasons
from compose_backup.api.base import API_VERSION, GROUP
from compose_backup.api.kinds import Kind
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable
from compose_backup.gateways.events import Notice, event_body
from compose_backup.gateways.rights import CREATE_EVENT, GET_OWN_NAMESPACE, GET_SECRET, USED_VERBS, Right
from compose_backup.planning.facts import Secret

Body = Mapping[str, Any]
Query = Sequence[tuple[str, str]]

logger = logging.getLogger(__name__)

FIELD_MANAGER: Final = "compose-backup-operator"
# Chunks come with managedFields, and stay in memory for as long as they are read: small ones cost little time.
CHUNK_SIZE = 100
REQUEST_SECONDS = 30
# Each takes a quarter of a megabyte for TLS as long as it lives; without a limit a start opens one for each worker.
CONNECTIONS = 10
# Somebody edits the object between our reading and our writing: rare once, and not twice in a row.
STATUS_WRITE_TRIES = 5

METHODS = {"get": "GET", "list": "GET", "create": "POST", "delete": "DELETE", "patch": "PATCH"}
CONTENT_TYPES = {"patch": "application/apply-patch+yaml"}
# Answers that pass by themselves: a token is renewed, a namespace or definition comes, a list is begun anew.
PASSING = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class Refused(Exception):
    """The API server found what we sent to be invalid: a fault of the operator, which is to surface as one."""


class _Failed(Exception):
    """An answer that is not a success, before anybody judged it. `status` is the API's Status object."""

    def __init__(self, code: int, status: Body) -> None:
        super().__init__(status.get("message", ""))
        self.code = code
        self.status = status

    @property
    def reason(self) -> str:
        return str(self.status.get("reason", ""))

    @property
    def namespace_is_terminating(self) -> bool:
        causes = (self.status.get("details") or {}).get("causes") or ()
        return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


async def connect(namespace: str, kubeconfig: str | None = None) -> KubernetesCluster:
    """Return the cluster of a kubeconfig (default: KUBECONFIG of the environment), else the one that we run in.

    `namespace` is the operator's own. No request is made yet. Raises Stalled when there is no usable configuration.
    """
    configuration = Configuration(connection_pool_maxsize=CONNECTIONS)
    load: Any = kubernetes_config  # its functions carry no types
    path = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if path:
            await load.load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)
        else:
            load.load_incluster_config(client_configuration=configuration)
    except (kubernetes_config.ConfigException, OSError) as error:
        raise Stalled(
            reasons.AUTHENTICATION_FAILED,
            f"no way to the Kubernetes API by {path or 'a ServiceAccount'}: {error}; "
            "set KUBECONFIG, or run in a pod with a ServiceAccount",
        ) from error
    return KubernetesCluster(ApiClient(configuration), namespace)


class KubernetesCluster:
    """One Kubernetes API server. Objects come back without `managedFields`, which would double the store's memory."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client: Any = client
        self._namespace = namespace
        self._instance = socket.gethostname()
        self._installation: str | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def list(self, kind: Kind) -> builtins.list[Body]:
        """Return all objects of a kind in all namespaces, read in chunks."""
        right = Right(GROUP, kind.plural, "list")
        objects: builtins.list[Body] = []
        token = ""
        while True:
            chunk = await self._ask(right, _path(kind), query=[("limit", str(CHUNK_SIZE)), ("continue", token)])
            objects += [_slim(item) for item in chunk["items"]]
            token = chunk["metadata"].get("continue", "")
            if not token:
                return objects

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Return one object as it is now, or None."""
        try:
            return _slim(await self._request(Right(GROUP, kind.plural, "get"), _path(kind, namespace, name)))
        except _Failed as failed:
            if failed.code == HTTPStatus.NOT_FOUND:
                return None
            raise _judged(failed, Right(GROUP, kind.plural, "get")) from None

    async def create(self, kind: Kind, body: Body) -> Body | None:
        """Create an object and return it, or None when the name is taken."""
        right = Right(GROUP, kind.plural, "create")
        try:
            return _slim(await self._request(right, _path(kind, body["metadata"]["namespace"]), body=body))
        except _Failed as failed:
            if failed.reason == "AlreadyExists":
                return None
            raise _judged(failed, right) from None

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this UID; another one of the same name, or none, is left alone."""
        right = Right(GROUP, kind.plural, "delete")
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self._request(right, _path(kind, namespace, name), body=options)
        except _Failed as failed:
            if failed.code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise _judged(failed, right) from None

    async def write_status(self, kind: Kind, body: Body, status: Body) -> Body | None:
        """Apply the whole status to the object with the body's UID; return it, or None when it is gone.

        The status subresource takes a wrong `metadata.uid` without a word (measured on kube-apiserver 1.36), but minds
        `metadata.resourceVersion`. That is what keeps a status from a later object of the same name.
        """
        current: Body | None = body
        for _ in range(STATUS_WRITE_TRIES):
            if current is None or current["metadata"]["uid"] != body["metadata"]["uid"]:
                return None
            try:
                return await self._apply_status(kind, current, status)
            except _Failed as failed:
                if failed.code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    raise _judged(failed, Right(GROUP, f"{kind.plural}/status", "patch")) from None
            current = await self.get(kind, current["metadata"]["namespace"], current["metadata"]["name"])
        raise Unreachable(
            reasons.UNREACHABLE, f"{kind.name} {_title(body)} changes faster than its status can be written"
        )

    async def secret(self, namespace: str, name: str) -> Secret | None:
        """Return the content of one Secret, or None."""
        try:
            found = await self._request(GET_SECRET, f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except _Failed as failed:
            if failed.code == HTTPStatus.NOT_FOUND:
                return None
            raise _judged(failed, GET_SECRET) from None
        data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        return Secret(version=found["metadata"]["resourceVersion"], data=data)

    async def emit(self, notice: Notice) -> None:
        """Write an Event. Failing to is logged and forgotten: Events are for people, never for decisions."""
        event = event_body(notice, self._instance, dt.datetime.now(dt.UTC))
        path = f"/apis/events.k8s.io/v1/namespaces/{event['metadata']['namespace']}/events"
        try:
            await self._request(CREATE_EVENT, path, body=event)
        except _Failed as failed:
            # Nothing can be created in a namespace that is being deleted, and nobody would read it there.
            if not failed.namespace_is_terminating:
                logger.warning("Event %s about %s was not written: %s", notice.reason, _title(notice.body), failed)
        except ComposeBackupError as error:
            logger.warning("Event %s about %s was not written: %s", notice.reason, _title(notice.body), error)

    async def installation(self) -> str:
        """Return the UID of the operator's own namespace, which tells our things on a host from another cluster's."""
        if self._installation is None:
            found = await self._ask(GET_OWN_NAMESPACE, f"/api/v1/namespaces/{self._namespace}")
            self._installation = str(found["metadata"]["uid"])
        return self._installation

    async def _apply_status(self, kind: Kind, current: Body, status: Body) -> Body:
        metadata = current["metadata"]
        applied = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "status": status,
        }
        right = Right(GROUP, f"{kind.plural}/status", "patch")
        path = f"{_path(kind, metadata['namespace'], metadata['name'])}/status"
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        return _slim(await self._request(right, path, query=query, body=applied))

    async def _ask(self, right: Right, path: str, query: Query = ()) -> Body:
        """Read something that must be there."""
        try:
            return await self._request(right, path, query=query)
        except _Failed as failed:
            raise _judged(failed, right) from None

    async def _request(self, right: Right, path: str, query: Query = (), body: Body | None = None) -> dict[str, Any]:
        """Make one request. Raises _Failed for an answer that is not a success, Unreachable when there is none."""
        if right not in USED_VERBS:
            raise LookupError(f"{right} is not among the operator's rights (gateways/rights.py)")
        headers = {"Accept": "application/json", "Content-Type": CONTENT_TYPES.get(right.verb, "application/json")}
        given = [(key, value) for key, value in query if value]
        try:
            request = await self._client.param_serialize(
                METHODS[right.verb], path, {}, given, headers, body, auth_settings=["BearerToken"]
            )
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            response = await self._client.call_api(*request, _request_timeout=timeout)
            content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"the Kubernetes API does not answer ({right}): {error or type(error).__name__}"
            raise Unreachable(reasons.UNREACHABLE, message) from error
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise _Failed(response.status, _status_object(content))
        answer: dict[str, Any] = json.loads(content)
        return answer


def _path(kind: Kind, namespace: str | None = None, name: str | None = None) -> str:
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{API_VERSION}{within}/{kind.plural}" + (f"/{name}" if name else "")


def _title(body: Body) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _slim(body: dict[str, Any]) -> Body:
    body["metadata"].pop("managedFields", None)
    return body


def _status_object(content: bytes) -> Body:
    """Return the Status that the API server answers with; a proxy on the way answers with anything."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": content.decode(errors="replace")[:200]}


def _judged(failed: _Failed, right: Right) -> Exception:
    """Return the error of errors.py that an answer amounts to."""
    if failed.namespace_is_terminating or failed.code in PASSING or failed.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(reasons.UNREACHABLE, f"the Kubernetes API did not {right}: {failed.code} {failed}")
    if failed.code == HTTPStatus.FORBIDDEN:
        return Stalled(
            reasons.FORBIDDEN,
            f"the operator may not {right}: {failed}; apply the roles of manifests/base of its version",
        )
    return Refused(f"{right}: {failed.code} {failed}")
