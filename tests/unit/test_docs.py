"""What is written for people: links lead somewhere, kinds and reasons are described, YAML blocks are valid.

Run by pytest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose_backup import settings
from compose_backup.api import reasons
from compose_backup.api.base import API_VERSION, GROUP
from compose_backup.api.crdgen import root_schema
from compose_backup.api.kinds import BY_NAME, KINDS, Kind
from compose_backup.api.resources import parse

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "compose_backup"
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")})
EXAMPLES = sorted(ROOT.glob("examples/**/*.yaml"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
YAML_BLOCK = re.compile(r"^ *```yaml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
ROW_OF_THREE = re.compile(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
SAID_BY_KUBECTL = ("strict decoding error: unknown field",)
WORDS = re.compile(r"[^\w\- ]")
SEEN_BY_THE_SERVER = {"uid": "1", "creationTimestamp": "2026-10-13T02:00:00Z"}

Manifest = dict[str, Any]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page, code left out."""
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in link and not link.startswith("mailto:"):
            yield link


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a page offers, made of its headings as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {WORDS.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def _manifests(text: str) -> Iterator[Manifest]:
    """Yield the objects of our kinds."""
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith(GROUP):
            yield document


def _blocks(page: Path) -> list[Manifest]:
    blocks = YAML_BLOCK.findall(page.read_text(encoding="utf-8"))
    return [manifest for block in blocks for manifest in _manifests(block)]


def unknown_fields(schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    """Yield the fields of a value that its schema does not have: the API server drops or refuses them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_fields(schema["items"], item, f"{where}[{index}]")
    elif isinstance(value, dict) and "properties" in schema:
        for name, field in value.items():
            if name in schema["properties"]:
                yield from unknown_fields(schema["properties"][name], field, f"{where}.{name}")
            else:
                yield f"{where}.{name}"


def complaints(manifest: Manifest) -> list[str]:
    """Return what is wrong with a manifest. Raises ValidationError for a value that its type refuses."""
    if manifest["apiVersion"] != API_VERSION or manifest["kind"] not in BY_NAME:
        return [f"{manifest['apiVersion']} has no kind {manifest['kind']}"]
    kind, metadata = BY_NAME[manifest["kind"]], manifest["metadata"]
    name = metadata.get("name") or metadata["generateName"]
    placed = {"namespace": "default", **metadata, **SEEN_BY_THE_SERVER, "name": name}
    parse(kind, {**manifest, "metadata": placed})
    known = {"apiVersion", "kind", "metadata", "spec"}
    extra = [key for key in manifest if key not in known]
    return extra + list(unknown_fields(root_schema(kind)["properties"]["spec"], manifest["spec"], "spec"))


def _texts() -> Iterator[str]:
    """Yield every text of the package, `…` where something is filled in."""
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _quoted_messages(page: Path) -> Iterator[str]:
    """Yield what the troubleshooting tables of a page quote: words between backticks that are no reason or command."""
    _, _, troubleshooting = page.read_text(encoding="utf-8").partition("\n## Troubleshooting\n")
    for first, second in ROW_OF_THREE.findall(troubleshooting):
        for quoted in re.findall(r"`([^`]+)`", f"{first} {second}"):
            if " " in quoted and quoted != "kubectl apply":
                yield from filter(None, (part.strip(" :;") for part in quoted.split("…")))


def test_links_of_this_test_are_found() -> None:
    """The patterns above find what they are for; otherwise everything below would pass."""
    assert sum(1 for page in PAGES for _ in _links(page)) > 50
    assert sum(len(_blocks(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """A link leads to a file or folder of the repository, and to a heading that is there."""
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target == ROOT or ROOT in target.parents, f"{link} leaves the repository"
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_page(kind: Kind) -> None:
    """A page has the parts that people look for, and valid examples of its kind."""
    page = ROOT / "docs" / "kinds" / f"{kind.name.lower()}.md"
    text = page.read_text(encoding="utf-8")
    for part in ("Fields", "Working with it", "Conditions and reasons", "Troubleshooting"):
        assert f"\n## {part}\n" in text
    assert f"../reference/{kind.name.lower()}.md" in text
    assert f"`{kind.short_name}`" in text
    assert kind.name in {manifest["kind"] for manifest in _blocks(page)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_quoted_messages_are_said(kind: Kind) -> None:
    """Who searches a page for the message on the screen finds it: what is quoted is what the program says."""
    quoted = list(_quoted_messages(ROOT / "docs" / "kinds" / f"{kind.name.lower()}.md"))
    said = "\n".join((*SAID_BY_KUBECTL, *_texts())).replace("`", "")
    assert len(quoted) > 5
    assert [words for words in quoted if words not in said] == []


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page)], ids=_name)
def test_yaml_blocks_are_valid(page: Path) -> None:
    """What people copy from a page is accepted, and says nothing that is dropped."""
    for manifest in _blocks(page):
        assert complaints(manifest) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_examples_are_valid(example: Path) -> None:
    """What people apply is accepted, and says nothing that is dropped."""
    for manifest in _manifests(example.read_text(encoding="utf-8")):
        assert complaints(manifest) == []


def test_unknown_fields_are_found() -> None:
    """A misspelt field is found at any depth; Pydantic alone would pass over it."""
    spec = {"policyRef": {"name": "nightly", "namespace": "other"}, "triggers": "Manual"}
    manifest = {"apiVersion": API_VERSION, "kind": "BackupRun", "metadata": {"name": "one"}, "spec": spec}
    assert complaints(manifest) == ["spec.policyRef.namespace", "spec.triggers"]


def test_every_reason_is_described() -> None:
    """A reason that stands in a condition can be looked up."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/**/*.md"))
    names = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert len(names) > 40
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")], ids=_name)
def test_named_modules_are_there(page: Path) -> None:
    """A module that a page names has not been moved or renamed since."""
    named = re.findall(r"`([\w/.]+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists() and not any(PACKAGE.rglob(name))] == []


def test_every_setting_is_described() -> None:
    """Each environment variable that the operator knows stands in the page of settings."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    names = settings.Settings.__dataclass_fields__
    assert [name for name in names if f"| `{settings.PREFIX}{name.upper()}` |" not in page] == []


def test_decisions_are_listed() -> None:
    """Each decision stands in the list of decisions."""
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in sorted(folder.glob("0*.md")) if f"({page.name})" not in listed] == []
