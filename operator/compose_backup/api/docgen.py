"""Writes the reference pages from the types of this folder: `python -m compose_backup.api.docgen docs/reference/`.

One page per kind, from the same schema as its CRD, and one of all reasons. Called by `make generate`, and with
`--check` by `make check`; tests/unit/api/ compares the committed files.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from compose_backup.api import generated, reasons
from compose_backup.api.base import API_VERSION
from compose_backup.api.crdgen import root_schema
from compose_backup.api.kinds import KINDS, Kind

Schema = dict[str, Any]

HEADER = "<!-- Generated from operator/compose_backup/api/ by `make generate`; edits are lost. -->"
HEADING = re.compile(r"^# (.+)$")
CONSTANT = re.compile(r'^[A-Z_]+: Final = "(\w+)"$')
MEANING = re.compile(r'^"""(.+)"""$')


def kind_page(kind: Kind) -> str:
    """Return the page of one kind: names, fields of spec and status, and rules."""
    root = root_schema(kind)
    spec, status = root["properties"]["spec"], root["properties"]["status"]
    parts = [
        f"# {kind.name}",
        HEADER,
        root["description"],
        f"`apiVersion: {API_VERSION}`, `kind: {kind.name}`, short name `{kind.short_name}`.",
        "## Spec",
        _spec_fields(spec),
        *_rules(root),
        "## Status",
        status["description"],
        _status_fields(status),
        "## Columns of `kubectl get`",
        ", ".join(f"{column.name}{' (`-o wide`)' if column.priority else ''}" for column in kind.columns) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _spec_fields(schema: Schema) -> str:
    rows = [
        (f"`{path}`", _type(field), "**required**" if required else _default(field), field["description"])
        for path, field, required in _walk(schema, "")
    ]
    return _table(("field", "type", "default", "meaning"), rows)


def _status_fields(schema: Schema) -> str:
    rows = [(f"`{path}`", _type(field), field["description"]) for path, field, _ in _walk(schema, "")]
    return _table(("field", "type", "meaning"), rows)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (titles, ["---"] * len(titles), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _walk(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    """Yield path, schema and whether it is required, for every field in the order in which it is declared."""
    for name, field in schema.get("properties", {}).items():
        yield prefix + name, field, name in schema.get("required", ())
        if field["type"] == "array":
            yield from _walk(field["items"], f"{prefix}{name}[].")
        else:
            yield from _walk(field, f"{prefix}{name}.")


def _default(field: Schema) -> str:
    if field.get("default", {}) == {}:
        return ""
    value = field["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(field: Schema) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of at most {field['maxItems']}: {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of at most {field['maxProperties']}: {_type(field['additionalProperties'])}"
    if field.get("format") == "date-time":
        return "time"
    return str(field["type"]) + _bounds(field)


def _bounds(field: Schema) -> str:
    if "minimum" in field and "maximum" in field:
        above = "above " if field.get("exclusiveMinimum") else ""
        return f", {above}{field['minimum']} to {field['maximum']}"
    return f", at most {field['maxLength']} characters" if "maxLength" in field else ""


def _rules(root: Schema) -> list[str]:
    messages = [rule["message"] for rule in _rules_in(root["properties"]["spec"])]
    messages += [rule["message"] for rule in root.get("x-kubernetes-validations", ())]
    return ["## Rules", "The API server refuses an object with these messages:", "\n".join(f"* {m}" for m in messages)]


def _rules_in(schema: Schema) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", ())
    for field in schema.get("properties", {}).values():
        yield from _rules_in(field)
    if "items" in schema:
        yield from _rules_in(schema["items"])


def reasons_page() -> str:
    """Return the page of all reasons, under the headings that api/reasons.py gives them."""
    lines = [
        "# Reasons",
        HEADER,
        "What stands as `reason` in conditions, in `status.failure` and in Events. The message beside it says more.",
    ]
    for heading, entries in meanings().items():
        rows = [(f"`{reason}`", meaning) for reason, meaning in entries.items()]
        lines += [f"## {heading}", _table(("reason", "meaning"), rows)]
    return "\n\n".join(lines) + "\n"


def meanings() -> dict[str, dict[str, str]]:
    """Return every reason with its meaning, by heading, as the source of api/reasons.py has them."""
    found: dict[str, dict[str, str]] = {}
    heading, reason = "", ""
    for line in inspect.getsource(reasons).splitlines():
        if match := HEADING.match(line):
            heading = match[1]
        elif match := CONSTANT.match(line):
            reason = match[1]
        elif reason and (match := MEANING.match(line)):
            found.setdefault(heading, {})[reason] = match[1]
            reason = ""
    return found


def files() -> dict[str, str]:
    """Return the content of every page by its name."""
    pages = {f"{kind.name.lower()}.md": kind_page(kind) for kind in KINDS}
    return {**pages, "reasons.md": reasons_page()}


if __name__ == "__main__":
    sys.exit(generated.main("the reference pages", files()))
