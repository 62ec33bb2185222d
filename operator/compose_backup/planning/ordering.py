"""In which order containers go down and come up: dependants first down, dependencies first up.

Dependencies are those that Compose wrote on the containers, and containers that are joined to another one. They count
also across containers that stay as they are: of three in a row, the outer two depend on each other.
Called by planning/quiescing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compose_backup.planning.facts import Container

SHORTEST_ID = 12
Edges = Mapping[str, frozenset[str]]
"""Container id → ids of the containers that it depends on."""


def levels(planned: Sequence[Container], containers: Iterable[Container]) -> dict[str, int]:
    """Return the level of each planned container: 0 goes down first. A circle is cut at its first name."""
    edges = _edges({one.id: one for one in (*containers, *planned)})
    names = {one.id: one.name for one in planned}
    above = {one: frozenset(other for other in names if other != one and one in _reach(other, edges)) for one in names}
    found: dict[str, int] = {}
    while len(found) < len(names):
        left = names.keys() - found.keys()
        free = [one for one in left if not above[one] & left] or [min(left, key=lambda one: (names[one], one))]
        level = len(set(found.values()))
        found.update(dict.fromkeys(free, level))
    return found


def with_joined(chosen: Sequence[Container], containers: Iterable[Container]) -> tuple[Container, ...]:
    """Return the chosen containers and those that are joined to one of them, directly or not.

    A container loses the network of another one when that is stopped, and gets it back only by a start of its own.
    """
    pool, found = list(containers), {one.id: one for one in chosen}
    while new := [one for one in pool if one.id not in found and is_joined(one, found.values())]:
        found.update({one.id: one for one in new})
    return tuple(found.values())


def is_joined(container: Container, others: Iterable[Container]) -> bool:
    """Return whether a container uses what belongs to one of the others."""
    return any(_names(reference, other) for other in others for reference in container.joined)


def _names(reference: str, container: Container) -> bool:
    by_id = len(reference) >= SHORTEST_ID and container.id.startswith(reference)
    return reference in (container.id, container.name) or by_id


def _edges(containers: Mapping[str, Container]) -> Edges:
    services: dict[tuple[str | None, str | None], set[str]] = {}
    for one in containers.values():
        if one.service and not one.one_off:
            services.setdefault((one.project, one.service), set()).add(one.id)
    return {one.id: _needed_by(one, services, containers.values()) for one in containers.values()}


def _needed_by(
    container: Container, services: Mapping[tuple[str | None, str | None], set[str]], all_of_them: Iterable[Container]
) -> frozenset[str]:
    named = (services.get((container.project, service), set()) for service in container.dependencies)
    joined = {other.id for other in all_of_them if container.joined and is_joined(container, (other,))}
    return frozenset(joined.union(*named))


def _reach(start: str, edges: Edges) -> set[str]:
    """Return everything that a container depends on, directly or not."""
    found: set[str] = set()
    ahead = set(edges[start])
    while ahead:
        one = ahead.pop()
        found.add(one)
        ahead |= edges[one] - found
    return found
