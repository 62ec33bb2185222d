"""Repositories that cannot be used: what their condition says, and that all heal by themselves once the cause is gone.

Run by pytest.
"""

from __future__ import annotations

import subprocess

import pytest

from e2e.bad_input.ward import PASSWORD, Ward, assert_says, row, secret

ABSENT_IMAGE = "nowhere.invalid/agent:1"
A_PROBE_LATER = 90
"""Seconds: a failed repository is opened again after half a minute, then after a whole one."""


@pytest.fixture(scope="module")
def gallery(ward: Ward) -> Ward:
    """All bad repositories, applied at once beside one that is good."""
    prepare_places(ward)
    ward.scene.apply(
        secret("other-key", other=PASSWORD),
        secret("other-password", password="not the one of main"),
        secret("line-end", password=f"{PASSWORD}\n"),
        secret("rotated"),
        ward.host("imageless", agent=agent(ward) | {"image": ABSENT_IMAGE}),
        ward.host("unpulled", agent=agent(ward) | {"image": ABSENT_IMAGE, "imagePullPolicy": "IfNotPresent"}),
        ward.host("elsewhere", endpoint="unix:///run/no/docker.sock"),
        *(ward.repository(name, **spec) for name, spec in specs(ward).items()),
    )
    for name in ("line-end", "twin", "rotated", "vanishing", "on-edited-host"):
        ward.scene.wait_ready("archiverepository", name, seconds=120)
    break_what_was_good(ward)
    return ward


def agent(ward: Ward) -> dict[str, object]:
    """Return how the agent is run on the engine of the tests."""
    found: dict[str, object] = ward.host("here")["spec"]["agent"]
    return found


def prepare_places(ward: Ward) -> None:
    """Make the directories, files, disks and volumes that the repositories meet."""
    ward.mount("full", "size=4k")
    ward.mount("read-only", "ro")
    (ward.directory / "in-use").mkdir()
    (ward.directory / "in-use" / "letters.txt").write_text("not a repository")
    (ward.directory / "empty").mkdir()
    (ward.directory / "edited").mkdir()
    (ward.directory / "file").write_text("not a directory")


def specs(ward: Ward) -> dict[str, dict[str, object]]:
    """Return what is special about each repository."""

    def at(path: str) -> dict[str, object]:
        return {"hostPath": {"path": path}}

    def password(name: str) -> dict[str, object]:
        return {"restic": {"passwordSecretRef": {"name": name}}}

    main = at(str(ward.directory / "main"))
    return {
        "no-secret": password("nobody"),
        "other-key": password("other-key"),
        "other-password": {**password("other-password"), "storage": main},
        "line-end": password("line-end"),
        "twin": {"storage": main},
        "outside": {"storage": at("/srv/elsewhere")},
        "dotted": {"storage": at(f"{ward.directory}/../elsewhere")},
        "prefixed": {"storage": at(f"{ward.directory}-evil")},
        "no-volume": {"storage": {"volume": {"name": ward.full("archives")}}},
        "never-made": {"storage": at(str(ward.directory / "empty")), "create": "Never"},
        "in-use": {},
        "file": {},
        "read-only": {},
        "full": {},
        "mistyped": {"storage": at(str(ward.directory / "baclups" / "main"))},
        "imageless": {"hostRef": {"name": "imageless"}},
        "unpulled": {"hostRef": {"name": "unpulled"}},
        "hostless": {"hostRef": {"name": "nobody"}},
        "host-away": {"hostRef": {"name": "elsewhere"}},
        "rotated": password("rotated"),
        "vanishing": {},
        "on-edited-host": {"hostRef": {"name": "here"}, "storage": at(str(ward.directory / "edited" / "main"))},
    }


def break_what_was_good(ward: Ward) -> None:
    """Take away what good repositories stand on, and make the operator look."""
    (ward.directory / "vanishing").rename(ward.directory / "moved-away")
    edited = ward.repository("vanishing", restic=max_compression())
    ward.scene.apply(secret("rotated", password="a slip of the hand"), edited)


def max_compression() -> dict[str, object]:
    """Return an edit that makes the operator open a repository at once."""
    return {"passwordSecretRef": {"name": "password"}, "compression": "max"}


SAID = [
    row("a Secret that does not exist", "no-secret", "SecretNotFound", ["/nobody does not exist", "create it"]),
    row("a Secret with another key", "other-key", "SecretKeyMissing", ["/other-key", "'password'", "restic"]),
    row("the wrong password", "other-password", "WrongPassword", ["wrong password", "correct the password", "Secret"]),
    row("a directory that is not permitted", "outside", "NotPermitted", ["/srv/elsewhere", "permit.hostPaths"]),
    row("a directory reached by two dots", "dotted", "NotPermitted", ["elsewhere", "ComposeHost here", "permit"]),
    row("a directory that only begins alike", "prefixed", "NotPermitted", ["-evil", "permit.hostPaths"]),
    row("a volume that does not exist", "no-volume", "VolumeNotFound", ["-archives does not exist", "misspelt"]),
    row(
        "none where none may be made",
        "never-made",
        "RepositoryAbsent",
        ["/empty: ", "whether the disk is mounted", "spec.create"],
    ),
    row("a directory that is in use", "in-use", "RepositoryAbsent", ["letters.txt", "directory of its own"]),
    row("a file instead of a directory", "file", "RepositoryAbsent", ["/file: ", "a file lies at the path", "check"]),
    row(
        "a disk that is mounted read-only",
        "read-only",
        "RepositoryNotReady",
        ["/read-only: ", "cannot be written", "mount its disk writable"],
    ),
    row("a disk that is full at creation", "full", "DiskFull", ["/full: ", "no space left", "free space"]),
    row("a parent directory that is mistyped", "mistyped", "VolumeMountFailed", ["baclups", "does not exist"]),
    row("an agent image that does not exist", "imageless", "ImageUnavailable", [ABSENT_IMAGE, "spec.agent.image"]),
    row("an agent image that cannot be pulled", "unpulled", "ImageUnavailable", [ABSENT_IMAGE, "registry", "load"]),
    row("a host that does not exist", "hostless", "HostNotFound", ["ComposeHost nobody", "create it"]),
    row("a host that is away", "host-away", "HostNotReady", ["ComposeHost elsewhere", "no such socket"]),
    row("a password that was changed by mistake", "rotated", "WrongPassword", ["correct the password"]),
    row(
        "a directory that vanished", "vanishing", "RepositoryVanished", ["/vanishing: ", "not there any more", "mount"]
    ),
]


@pytest.mark.parametrize(("name", "reason", "words"), SAID)
def test_a_repository_says_why_it_is_not_ready(gallery: Ward, name: str, reason: str, words: list[str]) -> None:
    found = gallery.scene.wait_condition(
        "archiverepository", name, "Ready", status="False", reason=reason, seconds=A_PROBE_LATER
    )
    assert_says(found, reason, *words)


def test_nothing_was_made_where_nothing_may_be(gallery: Ward) -> None:
    assert sorted(path.name for path in (gallery.directory / "in-use").iterdir()) == ["letters.txt"]
    assert list((gallery.directory / "empty").iterdir()) == []
    assert not (gallery.directory / "baclups").exists()
    assert not (gallery.directory / "vanishing").exists()


@pytest.fixture(scope="module")
def mended(gallery: Ward) -> Ward:
    """The same repositories, the cause of each taken away."""
    for name, reason in ((param.values[0], param.values[1]) for param in SAID):  # type: ignore[attr-defined]
        gallery.scene.wait_condition(
            "archiverepository", name, "Ready", status="False", reason=reason, seconds=A_PROBE_LATER
        )
    directory = gallery.directory
    subprocess.run(["mount", "-o", "remount,size=64m", directory / "full"], check=True)
    subprocess.run(["mount", "-o", "remount,rw", directory / "read-only"], check=True)
    (directory / "moved-away").rename(directory / "vanishing")
    (directory / "in-use" / "letters.txt").unlink()
    (directory / "file").unlink()
    (directory / "baclups").mkdir()
    gallery.volume("archives", "")
    gallery.scene.apply(
        secret("nobody"),
        secret("other-key"),
        secret("other-password"),
        secret("rotated"),
        gallery.host("imageless", agent=agent(gallery)),
        gallery.host("nobody"),
        gallery.host("elsewhere"),
    )
    return gallery


MENDED = [
    row("when the Secret is made", "no-secret"),
    row("when the Secret has the key", "other-key"),
    row("when the password is right", "other-password"),
    row("when the password is right again", "rotated"),
    row("when the volume is made", "no-volume"),
    row("when its directory is empty", "in-use"),
    row("when the file is gone", "file"),
    row("when the disk can be written", "read-only"),
    row("when the disk has space", "full"),
    row("when the parent is made", "mistyped"),
    row("when the image is corrected", "imageless"),
    row("when the host is made", "hostless"),
    row("when the host is back", "host-away"),
    row("when the directory is back", "vanishing"),
]


@pytest.mark.parametrize("name", MENDED)
def test_a_repository_heals_by_itself(mended: Ward, name: str) -> None:
    mended.scene.wait_ready("archiverepository", name, seconds=A_PROBE_LATER)


def test_a_repository_heals_when_its_host_is_made_anew(mended: Ward) -> None:
    mended.scene.wait_ready("archiverepository", "on-edited-host")
    mended.scene.apply(mended.host("here", permit={"hostPaths": []}))
    mended.scene.wait_condition("archiverepository", "on-edited-host", "Ready", status="False", reason="NotPermitted")
    mended.scene.kubectl("delete", "composehost", "here")
    mended.scene.wait_condition("archiverepository", "on-edited-host", "Ready", status="False", reason="HostNotFound")
    mended.scene.apply(mended.host("here"))
    mended.scene.wait_ready("archiverepository", "on-edited-host")
    mended.scene.wait_ready("archiverepository", "main")


def test_the_neighbour_still_runs(mended: Ward) -> None:
    mended.assert_neighbour_runs("after bad repositories")
