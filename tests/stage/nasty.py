"""A tree with everything that a copy may lose. Used by test_round_trip.py."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

ODD_NAMES = (
    b"a[1]*?",
    b"back\\slash",
    b"new\nline",
    b" leading",
    b"-dash",
    b"\xff\xfe not UTF-8",
    "ü".encode(),
    b"x" * 255,
)
_NOBODY = 0xFFFFFFFF


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """Return an access control list as the kernel takes it: tag, permissions, id (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACCESS = access_list((1, 6, _NOBODY), (2, 4, 1234), (4, 4, _NOBODY), (16, 6, _NOBODY), (32, 0, _NOBODY))
DEFAULT = access_list((1, 7, _NOBODY), (2, 7, 4321), (4, 5, _NOBODY), (16, 7, _NOBODY), (32, 5, _NOBODY))
BIND_SERVICE = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""A file capability (linux/capability.h): revision 2, effective, CAP_NET_BIND_SERVICE."""


def make(volume: Path) -> None:
    """Fill a volume."""
    _names(volume)
    _kinds(volume)
    _rights(volume)
    _deep(volume, b"deep" * 60, 20)
    os.utime(volume / "times", ns=(1_500_000_000_000_000_001, -1_234_567_891))
    os.chown(volume, 999, 998)
    os.setxattr(volume, "user.root", b"kept")
    volume.chmod(0o1751)
    os.utime(volume, ns=(1, 1_600_000_000_123_456_789))


def _names(volume: Path) -> None:
    (volume / "sub/empty").mkdir(parents=True)
    for index, odd in enumerate(ODD_NAMES):
        Path(volume, "sub", os.fsdecode(odd)).write_bytes(bytes([index]) * (index * 3000))
    (volume / "one").write_text("linked")
    os.link(volume / "one", volume / "sub/two")
    os.link(volume / "one", volume / "zero")
    for name, target in (("link", "sub/two"), ("dangling", "/nowhere/at all"), ("long", "x" * 1000)):
        (volume / name).symlink_to(target)
    os.link(volume / "dangling", volume / "sub/dangling too", follow_symlinks=False)
    os.chown(volume / "link", 5, 6, follow_symlinks=False)
    os.utime(volume / "link", ns=(1, 1_600_000_000_000_000_007), follow_symlinks=False)


def _kinds(volume: Path) -> None:
    with (volume / "sparse").open("wb") as file:
        for position in (1 << 20, 5 << 20):
            file.seek(position)
            file.write(b"data" * 1024)
        file.truncate(64 << 20)
    with (volume / "hole at the front").open("wb") as file:
        file.truncate(1 << 20)
    os.mkfifo(volume / "pipe")
    os.link(volume / "pipe", volume / "sub/same pipe")
    os.mknod(volume / "device", 0o640 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(volume / "block", 0o660 | stat.S_IFBLK, os.makedev(259, 70_000))
    with socket.socket(socket.AF_UNIX) as listening:
        # By a short way, since an address has 108 bytes (unix(7)).
        directory = os.open(volume, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
    for name in ("pipe", "device", "socket"):
        os.chown(volume / name, 33, 44)
        os.utime(volume / name, ns=(1, 1_600_000_001_000_000_000))
    (volume / "times").touch()


def _rights(volume: Path) -> None:
    for name, mode in (("setuid", 0o4750), ("setgid", 0o2755), ("none", 0o000)):
        (volume / name).write_text(name)
        os.chown(volume / name, 1000, 1001)
        (volume / name).chmod(mode)
    for name, mode in (("sticky", 0o1777), ("shared", 0o2770), ("closed", 0o000)):
        (volume / name).mkdir()
        (volume / name / "inside").write_text("x")
        (volume / name / "below").mkdir()
        os.chown(volume / name, 1000, 1001)
        (volume / name).chmod(mode)
    os.setxattr(volume / "shared", "system.posix_acl_default", DEFAULT)
    (volume / "shared/born with a list").write_text("x")
    (volume / "shared/born").mkdir()
    (volume / "listed").write_text("x")
    os.setxattr(volume / "listed", "system.posix_acl_access", ACCESS)
    os.setxattr(volume / "pipe", "system.posix_acl_access", ACCESS)
    (volume / "capable").write_text("x")
    os.chown(volume / "capable", 1000, 1001)
    os.setxattr(volume / "capable", "security.capability", BIND_SERVICE)
    os.setxattr(volume / "one", "user.note", b"kept")
    os.setxattr(volume / "one", "user.empty", b"")
    os.setxattr(volume / "one", "trusted.note", b"cannot be seen by the agent")


def _deep(volume: Path, name: bytes, levels: int) -> None:
    """Make a path that is longer than PATH_MAX, with a file of two names at its end."""
    place = os.open(volume, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    with os.fdopen(os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=place), "w") as file:
        file.write("deep")
    os.link("bottom", "bottom too", src_dir_fd=place, dst_dir_fd=place)
    os.close(place)
