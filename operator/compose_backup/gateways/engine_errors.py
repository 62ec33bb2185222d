"""What Docker, TLS and ssh say when something fails, turned into errors of ours that name host, cause and next step.

Called by gateways/docker_host.py and gateways/ssh_tunnel.py.
"""

from __future__ import annotations

import re

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable

SHORT = 400

_MOUNT_FAILED = re.compile(
    r"failed to mount local volume|error while mounting volume|bind source path does not exist|error mounting",
    re.IGNORECASE,
)
_IMAGE_MISSING = re.compile(
    r"no such image|pull access denied|manifest (unknown|for)|repository does not exist", re.IGNORECASE
)


def of_answer(host: str, request: str, status: int, said: str) -> ComposeBackupError:
    """Return the error for an answer of 400 or more. `request` is `METHOD /path`, `said` the engine's own message."""
    said = _short(said)
    if status == 403:
        # A bare engine never answers 403: a socket proxy in front of it does.
        advice = "a socket proxy must allow it (see the list of endpoints in docs/how-to/socket-proxy.md)"
        return Stalled(reasons.ENGINE_ERROR, f"host {host} refused {request} (403): {advice}")
    if status == 401:
        return Stalled(
            reasons.AUTHENTICATION_FAILED, f"host {host} refused {request} (401): {said}; check the credentials"
        )
    if status in (502, 503, 504):
        return Unreachable(reasons.UNREACHABLE, f"host {host} answered {status} to {request}: {said}; tried again")
    if _MOUNT_FAILED.search(said):
        return mount_failed(host, said)
    if _IMAGE_MISSING.search(said):
        return Stalled(
            reasons.IMAGE_UNAVAILABLE, f"host {host}: {said}; check spec.agent.image and the host's registry access"
        )
    return Stalled(
        reasons.ENGINE_ERROR, f"host {host} answered {status} to {request}: {said}; look at the engine's log"
    )


def of_connection(host: str, endpoint: str, cause: str) -> ComposeBackupError:
    """Return the error for a connection that failed before there was an answer. `cause` is the chain of messages."""
    text, where = cause.lower(), f"host {host} at {endpoint}"
    if "permission denied" in text:
        message = f"{where}: no permission for the Docker socket; let the operator's user, or the ssh user, use it"
        return Stalled(reasons.AUTHENTICATION_FAILED, message)
    if "no such file" in text:
        return Unreachable(
            reasons.UNREACHABLE, f"{where}: there is no such socket; is dockerd running, is the path right?"
        )
    if "connection refused" in text:
        return Unreachable(reasons.UNREACHABLE, f"{where}: connection refused; is dockerd running and listening there?")
    if re.search(r"name or service not known|name resolution|nodename nor servname|could not resolve", text):
        return Unreachable(
            reasons.UNREACHABLE, f"{where}: the name cannot be resolved; check the host name and the DNS"
        )
    if "timed out" in text:
        return no_answer(host, endpoint)
    return Unreachable(reasons.UNREACHABLE, f"{where}: {_short(cause)}; tried again")


def of_tls(host: str, endpoint: str, cause: str) -> Stalled:
    """Return the error for a TLS handshake that one of the two sides refused."""
    where = f"host {host} at {endpoint}"
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        found = re.search(r"certificate verify failed: ([^(\]]+)", cause)
        why = found.group(1).strip() if found else "not signed by ca.crt"
        advice = "ca.crt in the Secret must be the authority of the engine's certificate, which must name this host"
        return Stalled(reasons.CERTIFICATE_REFUSED, f"{where}: the engine's certificate is refused: {why}; {advice}")
    if "alert" in cause.lower():
        message = (
            f"{where}: the engine refuses our certificate: {_short(cause)}; tls.crt must be signed by the engine's CA"
        )
        return Stalled(reasons.CERTIFICATE_REFUSED, message)
    return Stalled(
        reasons.CERTIFICATE_REFUSED, f"{where}: no TLS connection: {_short(cause)}; does the port speak TLS?"
    )


def no_answer(host: str, endpoint: str) -> Unreachable:
    """Return the error for a host that accepted and never answered, or never accepted."""
    message = f"host {host} at {endpoint} does not answer in time; check that it is up and dockerd is not hanging"
    return Unreachable(reasons.UNREACHABLE, message)


def mount_failed(host: str, said: str) -> Stalled:
    """Return the error for a volume or directory that the host could not mount."""
    advice = "see that the device, directory or NFS server behind it can be reached from the host"
    return Stalled(reasons.VOLUME_MOUNT_FAILED, f"host {host} cannot mount for the agent: {_short(said)}; {advice}")


def _short(text: str) -> str:
    """Return the text in one line and not longer than a condition should be."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else line[:SHORT] + "…"
