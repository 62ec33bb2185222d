"""A tree with everything that a file system can hold, and a description of a tree that two of them are compared by.

Used by restored_tree.py.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LONG_AGO = 1_234_567_890_123_456_789
# What a POSIX ACL is on the disk: a version, then entries of tag, rights and id (linux, posix_acl_xattr.h).
ACL_VERSION = struct.pack("<I", 2)
ACL_ENTRY = struct.Struct("<HHI")
NO_ID = 0xFFFFFFFF
USER_OBJECT, USER, GROUP_OBJECT, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
# cap_net_bind_service, permitted and effective (linux, capability.h, revision 2).
FILE_CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
TRUSTED = "trusted."

Description = dict[bytes, dict[str, object]]


def write(root: Path) -> None:
    """Fill a directory; as root, on a file system with ACLs."""
    base = os.fsencode(root)
    for name in _odd_names():
        _file(base + b"/names/" + name, name)
    _write_modes(base + b"/modes")
    _write_links(base + b"/links")
    _write_special(base + b"/special")
    _write_attributes(base + b"/attributes")
    _write_holes(base + b"/holes")
    _file(base + b"/" + b"/".join([b"deep"] * 40) + b"/file", b"deep")
    os.makedirs(base + b"/empty")
    os.chown(base, 999, 998)
    os.chmod(base, 0o2751)
    _set_times(base)


def describe(root: Path) -> Description:
    """Return what each entry is, by its path below the root."""
    base = os.fsencode(root)
    links: dict[int, bytes] = {}
    return {path[len(base) :] or b"/": _entry(path, base, links) for path in sorted(_paths(base))}


def differences(original: Description, restored: Description) -> list[str]:
    """Return what differs, one line each, but for what a backup leaves out on purpose: sockets and trusted.*."""
    expected = {path: _without_trusted(entry) for path, entry in original.items() if entry["type"] != stat.S_IFSOCK}
    found: list[str] = []
    for path in sorted(expected.keys() | restored.keys()):
        mine, other = expected.get(path), restored.get(path)
        if mine is None or other is None:
            found.append(f"{path!r}: {'not in the original' if mine is None else 'missing'}")
        else:
            found += [f"{path!r}: {key} {mine[key]!r} is {other[key]!r}" for key in mine if mine[key] != other[key]]
    return found


def _odd_names() -> list[bytes]:
    return [
        *(
            b"new\nline",
            b"not-utf8-\xff\xfe",
            b"x" * 255,
            b"*",
            b"?",
            b"[a-z]",
            b"back\\slash",
            b"-rf",
            b" lead and trail ",
        ),
        *("ünï©ode-日本".encode(), b"quote\"'", b"tab\t", b"$HOME", b"#comment", b"!negated", b"..."),
    ]


def _write_modes(base: bytes) -> None:
    for mode in (0o000, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o1777, 0o6711):
        _file(base + b"/file-%o" % mode, b"mode")
        os.chown(base + b"/file-%o" % mode, 1000 + mode, 70_000)
        os.chmod(base + b"/file-%o" % mode, mode)
        os.makedirs(base + b"/directory-%o/below" % mode)
        os.chown(base + b"/directory-%o" % mode, 1000, 1000)
        os.chmod(base + b"/directory-%o" % mode, mode)


def _write_links(base: bytes) -> None:
    _file(base + b"/original", b"linked")
    for name in (b"hard", b"other/hard"):
        os.makedirs(os.path.dirname(base + b"/" + name), exist_ok=True)
        os.link(base + b"/original", base + b"/" + name)
    for name, target in ((b"good", b"original"), (b"dangling", b"/not/there"), (b"bytes", b"\xff"), (b"up", b"../..")):
        os.symlink(target, base + b"/" + name)
        os.chown(base + b"/" + name, 1234, 4321, follow_symlinks=False)


def _write_special(base: bytes) -> None:
    os.makedirs(base)
    os.mkfifo(base + b"/fifo", 0o640)
    os.mknod(base + b"/character", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(base + b"/block", stat.S_IFBLK | 0o660, os.makedev(7, 200))
    here = os.getcwd()
    try:
        os.chdir(base)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)


def _write_attributes(base: bytes) -> None:
    entries = ((USER_OBJECT, 7, NO_ID), (USER, 5, 1234), (GROUP_OBJECT, 5, NO_ID), (MASK, 7, NO_ID), (OTHER, 0, NO_ID))
    acl = ACL_VERSION + b"".join(ACL_ENTRY.pack(*entry) for entry in entries)
    _file(base + b"/file", b"attributes")
    os.setxattr(base + b"/file", "user.text", b"value")
    os.setxattr(base + b"/file", "user.binary", bytes(range(256)))
    os.setxattr(base + b"/file", "user.empty", b"")
    os.setxattr(base + b"/file", "trusted.left-out", b"value")
    os.setxattr(base + b"/file", "system.posix_acl_access", acl)
    os.setxattr(base + b"/file", "security.capability", FILE_CAPABILITY)
    os.makedirs(base + b"/directory")
    os.setxattr(base + b"/directory", "user.text", b"value")
    os.setxattr(base + b"/directory", "system.posix_acl_access", acl)
    os.setxattr(base + b"/directory", "system.posix_acl_default", acl)


def _write_holes(base: bytes) -> None:
    _file(base + b"/sparse", b"begin")
    with open(base + b"/sparse", "r+b") as file:
        file.seek(30 * 2**20)
        file.write(b"end")
        file.truncate(40 * 2**20)
    _file(base + b"/empty", b"")


def _set_times(base: bytes) -> None:
    """Give every entry a time of its own, to the nanosecond, from the leaves up."""
    for number, path in enumerate(sorted(_paths(base), reverse=True)):
        at = LONG_AGO + number * 1_000_000_007
        os.utime(path, ns=(at, at), follow_symlinks=False)


def _file(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(content)


def _paths(base: bytes) -> Iterator[bytes]:
    yield base
    for folder, directories, files in os.walk(base):
        yield from (os.path.join(folder, name) for name in (*directories, *files))


def _entry(path: bytes, base: bytes, links: dict[int, bytes]) -> dict[str, object]:
    seen = os.lstat(path)
    kind = stat.S_IFMT(seen.st_mode)
    several = kind != stat.S_IFDIR and seen.st_nlink > 1
    return {
        "type": kind,
        "mode": oct(stat.S_IMODE(seen.st_mode)),
        "owner": (seen.st_uid, seen.st_gid),
        "mtime": seen.st_mtime_ns,
        "device": seen.st_rdev,
        "size": seen.st_size if kind in (stat.S_IFREG, stat.S_IFLNK) else None,
        "content": hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest() if kind == stat.S_IFREG else None,
        "target": os.readlink(path) if kind == stat.S_IFLNK else None,
        "same file as": links.setdefault(seen.st_ino, path[len(base) :]) if several else None,
        "attributes": _attributes(path),
    }


def _attributes(path: bytes) -> dict[str, bytes]:
    with suppress(OSError):
        return {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
    return {}


def _without_trusted(entry: dict[str, object]) -> dict[str, object]:
    attributes = entry["attributes"]
    assert isinstance(attributes, dict)
    return entry | {"attributes": {name: value for name, value in attributes.items() if not name.startswith(TRUSTED)}}
