"""restic, as the agent calls it: argument lists (pure), and the one place that runs them.

The cache is off: these repositories lie on the host itself, where it would only be a second copy of the index, and the
agent's root is read-only. Called by the jobs of this folder.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compose_backup.agent.engines.restic_errors import cause_of
from compose_backup.agent.engines.restic_output import ErrorOutput, Message, message
from compose_backup.agent.processes import Call, Ended, Runner
from compose_backup.agent.stopping import ended_early
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.job import RepositoryAccess
from compose_backup.errors import AgentFailed

RETRY_LOCK = "--retry-lock=10m"
NO_LOCK = "--no-lock"
SOME_FILES_UNREADABLE = 3
# A file is cut into chunks by one thread: with restic's two readers, the last of three large files keeps one core busy.
_READING = ("--one-file-system", "--read-concurrency=4")

OnMessage = Callable[[Message], None]
OnLine = Callable[[str], None]


def environment(repository: str, scratch: str) -> dict[str, str]:
    """Return restic's whole environment, but for the password. `scratch` takes packs until they are full."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "RESTIC_REPOSITORY": repository,
        "RESTIC_PROGRESS_FPS": "1",
        "TMPDIR": scratch,
        "TZ": "UTC",
    }


def config_arguments() -> tuple[str, ...]:
    """Return the arguments that open a repository and print its identity, without a lock."""
    return ("cat", "config", NO_LOCK)


def snapshots_arguments() -> tuple[str, ...]:
    """Return the arguments that list all snapshots, without a lock."""
    return ("snapshots", NO_LOCK)


def identity_arguments(host: str, time: dt.datetime, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a snapshot is found by: host, slot and tags. restic cuts tags at commas: no value may hold one."""
    tagged = tuple(f"--tag={name}={value}" for name, value in tags.items())
    slot = time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (f"--host={host}", f"--time={slot}", *tagged)


def writing_arguments(access: RepositoryAccess) -> tuple[str, ...]:
    """Return how data is written into the repository."""
    pack_size = (f"--pack-size={access.pack_size_mib}",) if access.pack_size_mib else ()
    return (f"--compression={access.compression}", *pack_size, RETRY_LOCK)


def excluding(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return patterns of our own as arguments."""
    return tuple(f"--exclude={pattern}" for pattern in patterns)


def excludes(patterns: Sequence[str], root: str) -> tuple[str, ...]:
    """Return a user's patterns as arguments, each held inside the volume.

    restic matches a pattern without a slash against every part of the absolute path, so that `data` would swallow the
    whole of a volume named `data`; and one with a slash in front starts at the root of the machine.
    """
    return tuple(f"--exclude={_anchored(pattern, root)}" for pattern in patterns)


def _anchored(pattern: str, root: str) -> str:
    negation = "!" if pattern.startswith("!") else ""
    inside = pattern.removeprefix("!")
    return f"{negation}{root}{inside}" if inside.startswith("/") else f"{negation}{root}/**/{inside}"


def backup_arguments(
    identity: Sequence[str],
    writing: Sequence[str],
    parent: str | None,
    excluded: Sequence[str],
    paths: Sequence[str],
    *,
    trusts_times: bool = False,
    counts: bool = True,
) -> tuple[str, ...]:
    """Return the arguments that archive paths into one snapshot. Without a parent everything is read.

    `trusts_times` compares size and modification time alone: right only where somebody has seen to the rest. `counts`
    walks everything a second time to tell how much is left, 0.3 s of a core for 100,000 files.
    """
    compared: tuple[str, ...] = (f"--parent={parent}",) if parent else ("--force",)
    if parent and trusts_times:
        compared += ("--ignore-inode", "--ignore-ctime")
    counting = () if counts else ("--no-scan",)
    return ("backup", *writing, *identity, *compared, *counting, *_READING, *excluded, "--", *paths)


def document_arguments(identity: Sequence[str], writing: Sequence[str], file_name: str) -> tuple[str, ...]:
    """Return the arguments that store one document, read from stdin, as a snapshot of its own."""
    return ("backup", *writing, *identity, "--stdin", f"--stdin-filename={file_name}")


def restore_arguments(
    snapshot_id: str, root: str, target: str, includes: Sequence[str], *, delete: bool
) -> tuple[str, ...]:
    """Return the arguments that restore parts of one volume in place: what lies below `root` in the snapshot.

    The root of all volumes is the target, so that owner and mode of the volume itself come back, and an include is
    never left out: with `--delete` and without one, restic erases every other volume below the target.
    """
    if not includes:
        raise ValueError("a restore without include would touch other volumes")
    wanted = tuple(f"--include={include}" for include in includes)
    deleting = ("--delete",) if delete else ()
    kept = ("--sparse", "--exclude-xattr=trusted.*", RETRY_LOCK)
    return ("restore", f"{snapshot_id}:{root}", f"--target={target}", *wanted, *deleting, *kept)


def escaped(path: str) -> str:
    """Return a path as a pattern that matches nothing but itself."""
    return "".join(f"\\{character}" if character in "\\*?[" else character for character in path)


@dataclass(frozen=True)
class Finished:
    """A call that was allowed to end so."""

    code: int
    lines: tuple[str, ...]
    errors: ErrorOutput

    @property
    def text(self) -> str:
        """The whole output."""
        return "\n".join(self.lines)


class Restic:
    """One repository, through restic. The only place that runs it."""

    def __init__(
        self, runner: Runner, access: RepositoryAccess, repository: str, program: str, scratch: str, diagnose: OnLine
    ) -> None:
        self._runner = runner
        self._password = access.password.get_secret_value().encode()
        self._environment = environment(repository, scratch)
        self._program = program
        self._diagnose = diagnose

    def run(
        self,
        what: str,
        arguments: Sequence[str],
        *,
        seconds: float | None = None,
        stdin: bytes | None = None,
        allowed: frozenset[int] = frozenset({0}),
        on_message: OnMessage | None = None,
    ) -> Finished:
        """Run restic and return what it said. `what` names the act in errors.

        With `on_message` each JSON object of the output goes there instead of being kept.
        Raise AgentFailed when it ended in any way that is not allowed.
        """
        lines: list[str] = []
        errors = ErrorOutput()
        call = Call(self._command(arguments), self._environment, self._password, stdin, seconds)
        ended = self._runner.run(call, _taking(lines, on_message), self._taking_errors(errors))
        if ended.stopped is not None or ended.code not in allowed:
            raise failure(what, ended, errors, seconds)
        return Finished(ended.code, tuple(lines), errors)

    def _command(self, arguments: Sequence[str]) -> tuple[str, ...]:
        verb, *rest = arguments
        return (self._program, verb, "--json", "--no-cache", *rest)

    def _taking_errors(self, errors: ErrorOutput) -> OnLine:
        def take(line: str) -> None:
            self._diagnose(line)
            errors.take(line)

        return take


def _taking(lines: list[str], on_message: OnMessage | None) -> OnLine:
    if on_message is None:
        return lines.append

    def take(line: str) -> None:
        found = message(line)
        if found is not None:
            on_message(found)

    return take


def failure(what: str, ended: Ended, errors: ErrorOutput, seconds: float | None) -> AgentFailed:
    """Return the error for a call that failed: why we ended it, or what its exit means."""
    if ended.stopped == "timeout":
        last = f" ({errors.words})" if errors.last_words else ""
        advice = "check that the disk of the repository is mounted and answers"
        message_text = f"{what}: no answer in {seconds:.0f} s{last}; {advice}"
        return AgentFailed(reasons.REPOSITORY_NOT_READY, message_text, retryable=True)
    if ended.stopped is not None:
        return ended_early(ended.stopped)
    cause = cause_of(ended.code or 1, ended.error_lines)
    message_text = f"{what}: {errors.words} (restic exit code {ended.code}); {cause.next_step}"
    return AgentFailed(cause.reason, shorten(message_text, MESSAGE_LIMIT), retryable=cause.retryable)
