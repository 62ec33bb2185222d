"""Rules as an ordered list of questions: the first objection wins, and carries its reason and message with it.

Used by planning/backup.py, planning/restore.py and planning/repository.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from compose_backup.api.resources import Resource

FactsT = TypeVar("FactsT")
PATIENCE = dt.timedelta(seconds=15)


@dataclass(frozen=True)
class Objection:
    """Why something is not done now. `then` says what follows: wait for a change, fail for good, or skip it."""

    reason: str
    message: str
    then: Literal["wait", "fail", "skip"] = "wait"


def if_absent(resource: Resource[Any, Any], now: dt.datetime) -> Literal["wait", "fail"]:
    """Return what follows when what a one-shot object names is missing: applied with it, it may come a moment later."""
    return "wait" if now - resource.created < PATIENCE else "fail"


def first_objection(questions: Sequence[Callable[[FactsT], Objection | None]], facts: FactsT) -> Objection | None:
    """Ask the questions in their order and return the first objection, or None."""
    for question in questions:
        if objection := question(facts):
            return objection
    return None
