"""Makes one entry of the stage anew: a file, a symbolic link, a pipe, a socket, a device. Called by passes.py.

Everything is relative to descriptors of directories and never follows a link, since services still run: a link that
one of them puts there must not lead out of the volume, and paths may be longer than PATH_MAX.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from compose_backup.agent.stage import attributes, looks
from compose_backup.agent.stage.filling import Filling

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: what was a file may be a pipe by now, which nobody writes to.
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MEND_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHER_BY_NOW = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO})


@dataclass(frozen=True, slots=True)
class Pair:
    """A directory, open in the volume and in the stage: their descriptors."""

    volume: int
    stage: int


class Maker:
    """Makes entries where there is none. Methods raise OSError for what cannot be read or reproduced.

    They return the look at what was made, None when it has gone or become something else since it was found.
    """

    def __init__(self, filling: Filling, clock: Callable[[], int]) -> None:
        self._filling = filling
        self._clock = clock
        self.at_rest_before = 0
        """Nanoseconds since 1970. A file whose last change is older was flushed with its file system and has not become
        dirty since then, which would have changed its times (mmap(2)). Flushing 100,000 of them again takes a minute.
        """

    def make(self, pair: Pair, name: str, found: os.stat_result) -> bytes | None:
        """Make what was found."""
        if not stat.S_ISREG(found.st_mode):
            return self._other(pair, name)
        return self._file(pair, name, lambda: os.open(name, _CREATE_FILE, 0o600, dir_fd=pair.stage))

    def mend(self, pair: Pair, name: str, found: os.stat_result, staged: bytes) -> bytes | None:
        """Bring what is staged of a file up to date; None when it must be made anew, or that costs no more.

        Only the same file, with one name here and there: what another name stands for must not change with it.
        """
        look = looks.unpacked(staged)
        if not self._filling.mends or not stat.S_ISREG(look.mode) or look.inode != found.st_ino or found.st_nlink != 1:
            return None
        target = os.open(name, _MEND_FILE, dir_fd=pair.stage)
        try:
            if os.fstat(target).st_nlink != 1:
                return None
            return self._file(pair, name, lambda: os.dup(target))
        finally:
            os.close(target)

    def _file(self, pair: Pair, name: str, open_target: Callable[[], int]) -> bytes | None:
        # First the moment, then what makes times tell, then the look, and only then the content: what changes after
        # the look must show in the next pass, and a file that changes between content and look would never.
        moment = self._clock()
        source = open_unless_other(name, OPEN_FILE, pair.volume)
        if source is None:
            return None
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_ctime_ns >= self.at_rest_before:
                self._filling.settle(source)
                found = os.fstat(source)
            self._fill(pair, name, source, open_target(), found)
        finally:
            os.close(source)
        return looks.packed(found, moment)

    def _fill(self, pair: Pair, name: str, source: int, target: int, found: os.stat_result) -> None:
        try:
            extended = attributes.read(source)
            self._filling.fill(source, target)
            attributes.dress(pair.stage, name, target, found, extended)
        finally:
            os.close(target)

    def _other(self, pair: Pair, name: str) -> bytes | None:
        moment = self._clock()
        try:
            found = os.stat(name, dir_fd=pair.volume, follow_symlinks=False)
            target = os.readlink(name, dir_fd=pair.volume) if stat.S_ISLNK(found.st_mode) else None
            extended = attributes.read(attributes.place(pair.volume, name))
        except OSError as error:
            if error.errno in _OTHER_BY_NOW or error.errno == errno.EINVAL:  # readlink(2): it is no link
                return None
            raise
        if target is not None:
            os.symlink(target, name, dir_fd=pair.stage)
        elif stat.S_IFMT(found.st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            return None
        else:
            # The device number is read by mknod(2) for devices only.
            os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=pair.stage)
        attributes.dress(pair.stage, name, attributes.place(pair.stage, name), found, extended)
        return looks.packed(found, moment)


def open_unless_other(name: str, flags: int, directory: int) -> int | None:
    """Return the descriptor of an entry, None when it has gone or become something that the flags do not allow."""
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as error:
        if error.errno in _OTHER_BY_NOW:
            return None
        raise
