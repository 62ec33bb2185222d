"""Every manifest of examples/ is one of our kinds, or of Kubernetes' own, and fits its type.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose_backup.api.base import API_VERSION
from compose_backup.api.kinds import BY_NAME

EXAMPLES = Path(__file__).parents[2] / "examples"
BESIDE_OURS = {"Namespace", "Secret"}


def manifests() -> Iterator[Any]:
    """Yield each document that is not a compose file."""
    for path in sorted(EXAMPLES.rglob("*.yaml")):
        if path.name != "compose.yaml":
            for number, document in enumerate(yaml.safe_load_all(path.read_text())):
                yield pytest.param(document, id=f"{path.relative_to(EXAMPLES)}#{number}")


@pytest.mark.parametrize("document", list(manifests()))
def test_it_fits_its_type(document: dict[str, Any]) -> None:
    if document["apiVersion"] == API_VERSION:
        BY_NAME[document["kind"]].spec.model_validate(document["spec"])
    else:
        assert document["kind"] in BESIDE_OURS
