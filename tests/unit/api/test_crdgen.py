"""What CRDs are made of, and what no CRD can be made of.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model

from compose_backup.api import crdgen, generated
from compose_backup.api.base import Line, Model, Short
from compose_backup.api.crdgen import SpecSchema, StatusSchema, UnfitType, structural
from compose_backup.api.kinds import KINDS, Kind

CRDS = Path(__file__).parents[3] / "crds"


class Inner(Model):
    """An inner value."""

    size: Annotated[int, Field(gt=0, lt=9)] = 3
    """Its size."""
    note: Short | None = None
    """A note."""


class Bare(Model):
    """A value without defaults."""

    note: Short | None = None
    """A note."""


class Outer(Model):
    """A value."""

    inner: Inner = Inner()
    """The field says more
    than the type."""
    bare: Bare = Bare()
    """Nothing in it is filled in."""
    listed: Annotated[tuple[Inner, ...], Field(max_length=4)] = ()
    """A list."""
    mapped: Annotated[dict[Line, Line], Field(max_length=2)]
    """A map."""
    only: Literal["One"] | None = None
    """One value."""
    at: dt.datetime | None = None
    """A time."""


def field(kind: Any, description: str = "A field.", **options: Any) -> type[Model]:
    """Return a type with one field."""
    return create_model("Tried", __base__=Model, it=(kind, Field(description=description, **options)))


class TestSchema:
    def test_types_become_what_the_server_takes(self) -> None:
        number = {"description": "Its size.", "type": "integer", "minimum": 0, "exclusiveMinimum": True}
        number |= {"maximum": 9, "exclusiveMaximum": True}
        note = {"description": "A note.", "type": "string", "maxLength": 63}
        assert structural(Outer, SpecSchema) == {
            "description": "A value.",
            "type": "object",
            "required": ["mapped"],
            "properties": {
                "inner": {
                    "description": "The field says more than the type.",
                    "type": "object",
                    "default": {},
                    "properties": {"size": {**number, "default": 3}, "note": note},
                },
                "bare": {
                    "description": "Nothing in it is filled in.",
                    "type": "object",
                    "properties": {"note": note},
                },
                "listed": {
                    "description": "A list.",
                    "type": "array",
                    "maxItems": 4,
                    "items": {"type": "object", "properties": {"size": {**number, "default": 3}, "note": note}},
                },
                "mapped": {
                    "description": "A map.",
                    "type": "object",
                    "maxProperties": 2,
                    "additionalProperties": {"type": "string", "maxLength": 255},
                },
                "only": {"description": "One value.", "type": "string", "enum": ["One"]},
                "at": {"description": "A time.", "type": "string", "format": "date-time"},
            },
        }

    def test_status_has_no_defaults(self) -> None:
        assert "default" not in str(structural(Outer, StatusSchema))

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            pytest.param(field(str), "Tried.it is a string without max_length", id="string"),
            pytest.param(field(tuple[Short, ...]), "Tried.it is a list without max_length", id="list"),
            pytest.param(field(tuple[str, ...], max_length=3), r"Tried.it\[\] is a string", id="strings of a list"),
            pytest.param(field(dict[str, Short]), "Tried.it is a map without max_length", id="map"),
            pytest.param(field(dict[str, str], max_length=3), r"Tried.it\{\} is a string", id="values of a map"),
            pytest.param(field(int | bool), "Tried.it is a union", id="union"),
            pytest.param(field(Any), "Tried.it has no type", id="anything"),
            pytest.param(field(int, description=""), "Tried.it has no description", id="no description"),
        ],
    )
    def test_what_the_server_would_refuse_is_refused_here(self, model: type[Model], message: str) -> None:
        with pytest.raises(UnfitType, match=message):
            structural(model, SpecSchema)


class TestDefinitions:
    def test_committed_files_are_those_of_the_types(self) -> None:
        assert generated.drifted(CRDS, crdgen.files()) == []

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
    def test_object_without_status_is_one_never_seen(self, kind: Kind) -> None:
        assert crdgen.root_schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


class TestDrift:
    def test_written_files_have_not_drifted(self, tmp_path: Path) -> None:
        generated.write(tmp_path / "new", {"a.yaml": "a"})
        assert generated.drifted(tmp_path / "new", {"a.yaml": "a"}) == []

    def test_changed_missing_and_left_over_files_are_named(self, tmp_path: Path) -> None:
        generated.write(tmp_path, {"changed.yaml": "old", "left-over.yaml": "", "README.md": ""})
        assert generated.drifted(tmp_path, {"changed.yaml": "new", "missing.yaml": ""}) == [
            "changed.yaml",
            "left-over.yaml",
            "missing.yaml",
        ]

    @pytest.mark.parametrize(("content", "code"), [("a", 0), ("b", 1)])
    def test_check_tells_by_its_exit_code(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, code: int
    ) -> None:
        generated.write(tmp_path, {"a.yaml": content})
        monkeypatch.setattr("sys.argv", ["crdgen", str(tmp_path), "--check"])
        assert generated.main("files", {"a.yaml": "a"}) == code
        assert (tmp_path / "a.yaml").read_text() == content
