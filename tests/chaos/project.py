"""The Compose project that suffers: five counting services, one that is joined, one that stands by and one asleep.

Called by place.py. What each service is, evidence.py and invariants.py read from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = "chaos"
HERE = Path(__file__).parent
DIES = "on-failure"


@dataclass(frozen=True)
class Service:
    """One service as the campaign knows it."""

    volume: str | None
    restart: str
    replicas: int = 1
    way: str = "appended"
    goes_down: bool = True
    healthy: bool = False


SERVICES = {
    "db": Service("db", "unless-stopped", healthy=True),
    "mapped": Service("mapped", "always", way="mapped"),
    "web": Service("web", DIES, healthy=True),
    "worker": Service("work", "no", replicas=2),
    "sidecar": Service(None, "unless-stopped"),
    "bystander": Service(None, "always", goes_down=False),
    "asleep": Service("db", "unless-stopped", goes_down=False),
}
ASLEEP = "asleep"
VOLUMES = ("db", "mapped", "web", "work")
# What a person stopped stays so; what goes down in a window is all that writes, and what is joined to it.
AWAKE = tuple(name for name in SERVICES if name != ASLEEP)
WRITERS = tuple(name for name, service in SERVICES.items() if service.volume and service.goes_down)
WRITING_CONTAINERS = sum(SERVICES[name].replicas for name in WRITERS)
LEAVES_WHEN_KILLED = frozenset({"no", DIES, "unless-stopped"})
"""Restart policies that do not surely bring a container back when its engine or host went down.

An engine without live restore stops what it finds running after its death, and 20.10 takes that for a person's stop.
"""


def volume_name(key: str) -> str:
    """Return the full name of a volume."""
    return f"{PROJECT}_{key}"


def write_compose_file(directory: Path, image: str, small_image: str, witness: Path) -> Path:
    """Write the project's file for these images and return it."""
    services = {name: _service(name, service, image, witness) for name, service in SERVICES.items() if service.volume}
    for name in ("sidecar", "bystander"):
        services[name] = {"image": small_image, "init": True, "command": ["tail", "-f", "/dev/null"]}
        services[name] |= {"restart": SERVICES[name].restart, "network_mode": "none"}
    services["sidecar"]["network_mode"] = "service:db"
    services["web"]["depends_on"] = {"db": {"condition": "service_healthy"}}
    services["worker"] |= {"stop_grace_period": "1s"}
    file = directory / "compose.yaml"
    document = {"name": PROJECT, "services": services, "volumes": {key: {} for key in VOLUMES}}
    file.write_text(yaml.safe_dump(document))
    return file


def _service(name: str, service: Service, image: str, witness: Path) -> dict[str, Any]:
    stubborn = ["stubborn"] if name == "worker" else []
    document: dict[str, Any] = {
        "image": image,
        "user": "0:0",
        "entrypoint": ["python3", "/writer.py", service.way, *stubborn],
        "network_mode": "none",
        "restart": service.restart,
        "volumes": [f"{service.volume}:/data", f"{HERE / 'writer.py'}:/writer.py:ro", f"{witness}:/witness"],
    }
    if service.replicas > 1:
        document["deploy"] = {"replicas": service.replicas}
    if service.healthy:
        document["healthcheck"] = {
            "test": ["CMD", "test", "-e", "/tmp/ready"],
            "interval": "1s",
            "timeout": "5s",
            "retries": 10,
            "start_period": "1s",
        }
    return document
