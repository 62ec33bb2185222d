"""Owner, mode, extended attributes and times of an entry: read from the volume, set in the stage. Used by entries.py
and passes.py."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

Attributes = Mapping[str, bytes]
"""Extended attributes by name, access control lists and file capabilities among them."""

_OF_THE_SYSTEM = "trusted."  # seen and set only with CAP_SYS_ADMIN, which the agent does not have (xattr(7))


def place(directory: int, name: str) -> str:
    """Return a short path of an entry for calls that take no descriptor of a directory. The last part is not followed.

    The way through /proc keeps within the directory that is open, wherever it has been moved to (proc_pid_fd(5)).
    """
    return f"/proc/self/fd/{directory}/{name}"


def read(entry: int | str) -> Attributes:
    """Return the extended attributes of an open file or directory, or of a place. Raise OSError."""
    follow = isinstance(entry, int)  # the calls take no descriptor together with a word about links
    try:
        names = os.listxattr(entry, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    found = {}
    for name in names:
        if name.startswith(_OF_THE_SYSTEM):
            continue
        try:
            found[name] = os.getxattr(entry, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed just now
                raise
    return found


def dress(directory: int, name: str, entry: int | str, found: os.stat_result, attributes: Attributes) -> None:
    """Give an entry of the stage everything but its content, `entry` being its descriptor or place. Raise OSError.

    In the one order that works: a new owner takes away the set-user-ID bit and file capabilities (chown(2)), an access
    control list changes the mode (acl(5)), and all of it changes times.
    """
    os.chown(name, found.st_uid, found.st_gid, dir_fd=directory, follow_symlinks=False)
    _set(entry, attributes)
    if not stat.S_ISLNK(found.st_mode):
        _set_mode(directory, name, found.st_mode)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def _set(entry: int | str, attributes: Attributes) -> None:
    """Set the attributes, and remove those that the entry has from the default list of its directory (acl(5))."""
    follow = isinstance(entry, int)
    for extra in read(entry).keys() - attributes.keys():
        os.removexattr(entry, extra, follow_symlinks=follow)
    for name, value in attributes.items():
        os.setxattr(entry, name, value, follow_symlinks=follow)


def _set_mode(directory: int, name: str, mode: int) -> None:
    os.chmod(name, stat.S_IMODE(mode), dir_fd=directory)
    # Without CAP_FSETID the bit is left out for a group that is not ours, and nothing is said (chmod(2)).
    if mode & stat.S_ISGID and not os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & stat.S_ISGID:
        raise OSError(errno.EPERM, "the set-group-ID bit cannot be set")
