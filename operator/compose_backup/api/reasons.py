"""Every reason that appears in a condition, a failure or an Event, each once, with what it means.

docs/reference/reasons.md is generated from it. Used by every room.
"""

from __future__ import annotations

from typing import Final

# Progress and good ends
SUCCEEDED: Final = "Succeeded"
PROGRESSING: Final = "Progressing"
PENDING: Final = "Pending"
RUNNING: Final = "Running"
CONNECTED: Final = "Connected"
SCHEDULED: Final = "Scheduled"
SUSPENDED: Final = "Suspended"
OPENED: Final = "Opened"
CREATED: Final = "Created"
YOUNG_ENOUGH: Final = "YoungEnough"
TOO_OLD: Final = "TooOld"
NEVER_SUCCEEDED: Final = "NeverSucceeded"
NO_RUN_YET: Final = "NoRunYet"

# Ends that are not green
PARTIALLY_FAILED: Final = "PartiallyFailed"
FAILED: Final = "Failed"
CANCELLED: Final = "Cancelled"
SKIPPED: Final = "Skipped"
EXPIRED: Final = "Expired"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
STARTING_DEADLINE_EXCEEDED: Final = "StartingDeadlineExceeded"

# What a person wrote
INVALID_SPEC: Final = "InvalidSpec"
CLOCK_SKEW: Final = "ClockSkew"
POLICY_NOT_FOUND: Final = "PolicyNotFound"
RUN_NOT_FOUND: Final = "RunNotFound"
HOST_NOT_FOUND: Final = "HostNotFound"
REPOSITORY_NOT_FOUND: Final = "RepositoryNotFound"
SECRET_NOT_FOUND: Final = "SecretNotFound"
SECRET_KEY_MISSING: Final = "SecretKeyMissing"
NAME_TAKEN: Final = "NameTaken"
WRONG_HOST: Final = "WrongHost"
NOT_PERMITTED: Final = "NotPermitted"
NOTHING_MATCHES: Final = "NothingMatches"
INCLUDE_MATCHES_NOTHING: Final = "IncludeMatchesNothing"
SNAPSHOT_NOT_FOUND: Final = "SnapshotNotFound"
NO_GOOD_RUN: Final = "NoGoodRun"
VOLUME_NOT_IN_SOURCE: Final = "VolumeNotInSource"

# Host and engine
UNREACHABLE: Final = "Unreachable"
AUTHENTICATION_FAILED: Final = "AuthenticationFailed"
HOST_KEY_UNKNOWN: Final = "HostKeyUnknown"
CERTIFICATE_REFUSED: Final = "CertificateRefused"
HOST_NOT_READY: Final = "HostNotReady"
HOST_BUSY: Final = "HostBusy"
ENGINE_ERROR: Final = "EngineError"
IMAGE_UNAVAILABLE: Final = "ImageUnavailable"
VOLUME_NOT_FOUND: Final = "VolumeNotFound"
VOLUME_MOUNT_FAILED: Final = "VolumeMountFailed"
RESTORE_ACTIVE: Final = "RestoreActive"
VOLUME_IN_USE: Final = "VolumeInUse"
SERVICES_RUNNING: Final = "ServicesRunning"

# Repository
REPOSITORY_NOT_READY: Final = "RepositoryNotReady"
REPOSITORY_ABSENT: Final = "RepositoryAbsent"
REPOSITORY_VANISHED: Final = "RepositoryVanished"
REPOSITORY_REPLACED: Final = "RepositoryReplaced"
REPOSITORY_LOCKED: Final = "RepositoryLocked"
REPOSITORY_DAMAGED: Final = "RepositoryDamaged"
WRONG_PASSWORD: Final = "WrongPassword"
DISK_FULL: Final = "DiskFull"

# Agent and data
AGENT_LOST: Final = "AgentLost"
AGENT_KILLED: Final = "AgentKilled"
OUT_OF_MEMORY: Final = "OutOfMemory"
AGENT_SILENT: Final = "AgentSilent"
ENGINE_FAILED: Final = "ArchiveFailed"
INTERRUPTED: Final = "Interrupted"
UNREADABLE_FILES: Final = "UnreadableFiles"
NOTHING_ARCHIVED: Final = "NothingArchived"
NOTHING_RESTORED: Final = "NothingRestored"
TARGET_NOT_EMPTY: Final = "TargetNotEmpty"
TARGET_INCOMPLETE: Final = "TargetIncomplete"
