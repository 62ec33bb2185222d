"""Ways to a host and into a repository: addresses with their credentials, read from the one Secret that is named.

Called by every pass that reaches a host.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from pydantic import SecretStr

from compose_backup.api import reasons
from compose_backup.api.archive_repository import PasswordReference
from compose_backup.api.job import RepositoryAccess
from compose_backup.api.resources import Host, Repository
from compose_backup.errors import Stalled
from compose_backup.planning.facts import HostAddress, Secret
from compose_backup.reconcile.world import World

# As Debian's /etc/hosts has them.
LOCAL_NAMES = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})

NEEDED_KEYS = {"ssh": ("ssh-privatekey", "known_hosts"), "tcp": ("tls.crt", "tls.key", "ca.crt")}


async def address_of(world: World, host: Host) -> HostAddress:
    """Return how to reach a host.

    Raises Stalled when the endpoint is not allowed, or the Secret or one of its keys is missing.
    """
    endpoint = host.spec.endpoint
    if is_local(endpoint) and not world.settings.allow_local_endpoints:
        raise Stalled(
            reasons.NOT_PERMITTED,
            f"endpoint {endpoint} reaches the operator's own machine; use ssh:// or tcp://, or let an administrator "
            "set COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS=true on the operator",
        )
    reference = host.spec.credentials_secret_ref
    secret = await required_secret(world, host.namespace, reference.name) if reference else None
    if reference and secret:
        _require_keys(host, reference.name, secret)
    version = f"{host.generation}.{secret.version if secret else '-'}"
    return HostAddress(host.uid, host.name, endpoint, version, secret.data if secret else {})


def _require_keys(host: Host, name: str, secret: Secret) -> None:
    """Raise Stalled when the Secret lacks what the way to the host needs, before anything is opened."""
    scheme = urlsplit(host.spec.endpoint).scheme
    missing = [key for key in NEEDED_KEYS.get(scheme, ()) if not secret.data.get(key, b"").strip()]
    if missing:
        message = (
            f"Secret {host.namespace}/{name} of ComposeHost {host.name} has no key {' and no key '.join(missing)}, or "
            f"nothing in it; {scheme}:// needs it: add it"
        )
        raise Stalled(reasons.SECRET_KEY_MISSING, message)


async def repository_access(world: World, repository: Repository, expected_id: str | None) -> RepositoryAccess:
    """Return how a repository is opened. Raises Stalled when the Secret or its key is missing."""
    reference = repository.spec.restic.password_secret_ref
    secret = await required_secret(world, repository.namespace, reference.name)
    return RepositoryAccess(
        password=_password(secret, reference, repository.namespace),
        compression=repository.spec.restic.compression,
        pack_size_mib=repository.spec.restic.pack_size_mi_b,
        expected_id=expected_id,
    )


async def required_secret(world: World, namespace: str, name: str) -> Secret:
    """Return a Secret. Raises Stalled when there is none."""
    secret = await world.cluster.secret(namespace, name)
    if secret is None:
        raise Stalled(
            reasons.SECRET_NOT_FOUND, f"Secret {namespace}/{name} does not exist; create it, it is looked for again"
        )
    return secret


async def secret_version(world: World, namespace: str, name: str | None) -> str | None:
    """Return the version of a Secret as it is now, or None: whether a person has changed it."""
    secret = await world.cluster.secret(namespace, name) if name else None
    return secret.version if secret else None


def is_local(endpoint: str) -> bool:
    """Return whether an endpoint reaches the machine, or the pod, that the operator runs in."""
    parts = urlsplit(endpoint)
    if parts.scheme == "unix":
        return True
    host = (parts.hostname or "").rstrip(".")
    address = _address(host)
    if address is None:
        return host in LOCAL_NAMES or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address written so, as the resolver takes it too: `127.1`, `0x7f000001`, `::ffff:127.0.0.1`."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _password(secret: Secret, reference: PasswordReference, namespace: str) -> SecretStr:
    value = secret.data.get(reference.key, b"").decode(errors="replace").rstrip("\r\n")
    if not value:
        raise Stalled(
            reasons.SECRET_KEY_MISSING,
            f"Secret {namespace}/{reference.name} has no key {reference.key!r}, or it is empty; it must hold the "
            "password of the restic repository",
        )
    return SecretStr(value)
