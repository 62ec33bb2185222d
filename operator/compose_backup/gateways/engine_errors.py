"""What Docker, TLS and ssh say when something fails, turned into errors of ours that name host, cause and next step.

Messages are those of Engine 20.10 and later, OpenSSH 9 and OpenSSL 3, as seen in trials.
Called by gateways/docker_host.py, gateways/agent_start.py and the ways to an engine.
"""

from __future__ import annotations

import re

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable

SHORT = 400

_MOUNT_FAILED = re.compile(
    r"failed to mount local volume|error while mounting volume|bind source path does not exist"
    r"|error while creating mount source path|error mounting",
    re.IGNORECASE,
)
_IMAGE_MISSING = re.compile(
    r"no such image|pull access denied|manifest (unknown|for)|repository does not exist", re.IGNORECASE
)
_UNRESOLVED = re.compile(
    r"name or service not known|name resolution|no address associated|could not resolve", re.IGNORECASE
)


def of_answer(host: str, request: str, status: int, said: str) -> ComposeBackupError:
    """Return the error for an answer of 400 or more. `request` is `METHOD /path`, `said` the engine's own message."""
    said = _short(said)
    if status == 403:
        # A bare engine does not forbid: a socket proxy or an authorization plugin in front of it does.
        return Stalled(
            reasons.ENGINE_ERROR, f"host {host} forbids {request} (403): {said}; allow it in the socket proxy"
        )
    if status == 401:
        return Stalled(
            reasons.AUTHENTICATION_FAILED, f"host {host} refuses {request} (401): {said}; check the credentials"
        )
    if status in (502, 503, 504):
        return Unreachable(reasons.UNREACHABLE, f"host {host} answers {status} to {request}: {said}; tried again")
    if _MOUNT_FAILED.search(said):
        return mount_failed(host, said)
    if _IMAGE_MISSING.search(said):
        advice = "check spec.agent.image, or load the image on the host"
        return Stalled(reasons.IMAGE_UNAVAILABLE, f"host {host}: {said}; {advice}")
    return Stalled(reasons.ENGINE_ERROR, f"host {host} answers {status} to {request}: {said}; look at the engine's log")


def of_connection(host: str, endpoint: str, cause: str) -> ComposeBackupError:
    """Return the error for a connection that failed before there was an answer. `cause` is what the library said."""
    text, where = cause.lower(), f"host {host} at {endpoint}"
    if "permission denied" in text:
        message = f"{where}: no permission to use the Docker socket; let the operator's user use it"
        return Stalled(reasons.AUTHENTICATION_FAILED, message)
    for sign, meaning in (
        ("no such file", "there is no such socket; is dockerd running, is the path right?"),
        ("connection refused", "connection refused; is dockerd running and listening there?"),
        ("no route to host", "no route to the host; is it up, is the network between?"),
    ):
        if sign in text:
            return _unreachable(f"{where}: {meaning}")
    if _UNRESOLVED.search(text):
        return _unreachable(f"{where}: the name cannot be resolved; check the host name and the DNS")
    if "timed out" in text:
        return no_answer(host, endpoint)
    return _unreachable(f"{where}: {_short(cause)}; tried again")


def of_ssh(host: str, endpoint: str, log: str) -> ComposeBackupError:
    """Return the error for an ssh that ended before it had logged in. `log` is all that it wrote."""
    where = f"host {host} at {endpoint}"
    if "HOST IDENTIFICATION HAS CHANGED" in log:
        advice = "find out why; if it was replaced, put its new key into known_hosts in the Secret"
        return Stalled(reasons.HOST_KEY_UNKNOWN, f"{where} shows another host key than known_hosts has: {advice}")
    if "Host key verification failed" in log or "host key is known" in log:
        advice = "compare `ssh-keyscan` with the host itself, then add the line to known_hosts in the Secret"
        return Stalled(reasons.HOST_KEY_UNKNOWN, f"{where}: known_hosts has no key of this host and port; {advice}")
    if "Load key" in log or "invalid format" in log:
        advice = "it must be a private key without passphrase, in PEM or OpenSSH format"
        return Stalled(reasons.AUTHENTICATION_FAILED, f"{where}: ssh-privatekey in the Secret cannot be read; {advice}")
    if "Permission denied" in log or "Too many authentication failures" in log:
        advice = "add the public key of ssh-privatekey to authorized_keys of that user"
        return Stalled(reasons.AUTHENTICATION_FAILED, f"{where} does not accept the key; {advice}")
    said = log.replace("\r", "").strip()
    return of_connection(host, endpoint, said.rpartition("\n")[2] or "ssh ended without a word")


def of_forward(host: str, endpoint: str, said: str) -> ComposeBackupError | None:
    """Return the error for a channel that sshd would not open to the Docker socket; None when `said` tells of none."""
    where = f"host {host} at {endpoint}"
    if "administratively prohibited" in said:
        advice = "set AllowStreamLocalForwarding to yes or local there"
        return Stalled(reasons.AUTHENTICATION_FAILED, f"{where}: sshd forbids forwarding to a socket; {advice}")
    if "open failed" in said:
        # sshd does not tell which (OpenSSH 9.2: "connect failed: open failed").
        cause = (
            "the Docker socket cannot be opened there: dockerd does not run, the path is another, or the user may not"
        )
        return _unreachable(f"{where}: {cause}; try `docker version` on the host as that user")
    return None


def of_tls(host: str, endpoint: str, cause: str) -> Stalled:
    """Return the error for a TLS handshake that one of the two sides refused."""
    where = f"host {host} at {endpoint}"
    if "CERTIFICATE_VERIFY_FAILED" in cause or "doesn't match" in cause:
        found = re.search(r"certificate verify failed: ([^(\]]+)", cause)
        why = found.group(1).strip() if found else _short(cause)
        advice = "ca.crt in the Secret must be the authority of the engine's certificate, which must name this host"
        return Stalled(reasons.CERTIFICATE_REFUSED, f"{where} shows a certificate that is refused: {why}; {advice}")
    if "alert" in cause.lower() or "EOF occurred" in cause:
        # With TLS 1.3 the engine refuses us after the handshake; the alert may be lost when it closes the connection.
        advice = "tls.crt in the Secret must be valid and signed by the authority that the engine trusts (--tlscacert)"
        return Stalled(reasons.CERTIFICATE_REFUSED, f"{where} does not accept our certificate; {advice}")
    message = (
        f"{where} speaks no TLS there: {_short(cause)}; use the engine's TLS port (2376), started with --tlsverify"
    )
    return Stalled(reasons.CERTIFICATE_REFUSED, message)


def no_answer(host: str, endpoint: str) -> Unreachable:
    """Return the error for a host that accepted and never answered, or never accepted."""
    return _unreachable(f"host {host} at {endpoint} does not answer in time; is it up, does `docker ps` answer there?")


def not_docker(host: str, endpoint: str) -> Unreachable:
    """Return the error for something that answers, but not as an engine does."""
    return _unreachable(f"host {host} at {endpoint} does not answer as a Docker Engine does; is something else there?")


def closed(host: str) -> Unreachable:
    """Return the error for a question to a host whose address has changed, or which the operator has left."""
    return _unreachable(f"the connection to host {host} was closed, since its address has changed; tried again")


def mount_failed(host: str, said: str) -> Stalled:
    """Return the error for a volume or directory that the host could not mount."""
    advice = "see that the device, directory or NFS server behind it can be reached from the host"
    return Stalled(reasons.VOLUME_MOUNT_FAILED, f"host {host} cannot mount for the agent: {_short(said)}; {advice}")


def _unreachable(message: str) -> Unreachable:
    return Unreachable(reasons.UNREACHABLE, message)


def _short(text: str) -> str:
    """Return the text in one line and not longer than a condition should be."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else line[:SHORT] + "…"
