"""The reference pages are those of the types, and leave nothing out.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compose_backup.api import docgen, generated, reasons
from compose_backup.api.kinds import KINDS, Kind

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_committed_pages_are_those_of_the_types() -> None:
    assert generated.drifted(REFERENCE, docgen.files()) == []


def test_every_reason_has_a_meaning_once() -> None:
    constants = [value for name, value in vars(reasons).items() if name.isupper()]
    explained = [reason for entries in docgen.meanings().values() for reason in entries]
    assert explained == constants
    assert len(set(explained)) == len(explained)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_page_names_every_field_of_spec_and_status(kind: Kind) -> None:
    page = docgen.kind_page(kind)
    for model in (kind.spec, kind.status):
        for name, field in model.model_fields.items():
            assert f"| `{field.alias or name}` |" in page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(kind: Kind) -> None:
    for table in docgen.kind_page(kind).split("\n\n"):
        if table.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1
