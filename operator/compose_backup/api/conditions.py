"""Conditions after kstatus, shared by the status of all kinds.

| type | polarity | present |
|---|---|---|
| `Ready` | True is good | always |
| `Reconciling` | True is work in progress | only while True, never together with Stalled |
| `Stalled` | True needs a person | only while True |
| `Finished` | True on any end, success or not | BackupRun and RestoreRequest |
| `Queued` | True while it waits for its turn: place and predecessor | BackupRun and RestoreRequest, only while True |
| `Fresh` | True while the last good run is young enough | BackupPolicy |
| `ServicesResumed` | False while a service that was stopped does not run yet | ComposeHost |
| `LastRunSucceeded` | True or False after the first run, Unknown before | BackupPolicy |

Source of the rules: kubernetes-sigs/cli-utils, pkg/kstatus. Written by planning/conditions.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.base import LongText, Model, Short

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
FINISHED = "Finished"
QUEUED = "Queued"
FRESH = "Fresh"
SERVICES_RESUMED = "ServicesResumed"
LAST_RUN_SUCCEEDED = "LastRunSucceeded"


class Condition(Model):
    """One condition in the form of metav1.Condition."""

    type: Short
    """Name of the condition, for example `Ready`."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    observed_generation: int
    """The generation of the object that this statement is about."""
    last_transition_time: dt.datetime
    """When `status` last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=63)]
    """One word, listed in the reference of reasons."""
    message: LongText
    """What is so, why, and the next step."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


class Status(Model):
    """What the status of every kind begins with."""

    observed_generation: int = -1
    """The generation that this status describes; -1 until the operator has seen the object."""
    conditions: Conditions = ()
    """What is so, one entry per type, after the kstatus convention."""
