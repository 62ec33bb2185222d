"""The base of all types that cross a boundary, and the bounded strings and lists that CRDs are made of.

Every string and list has an upper bound: the API server refuses a CRD whose CEL rules could cost too much.
Used by every module of this folder.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "backup.dockerwarts.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
Short = Annotated[str, Field(max_length=63)]
Line = Annotated[str, Field(max_length=255)]
Text = Annotated[str, Field(max_length=1024)]
LongText = Annotated[str, Field(max_length=4096)]
Path = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^/")]


class Model(BaseModel):
    """A frozen value in camelCase on the wire. Docstrings under the fields become `kubectl explain`."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form as Kubernetes and the agent see it, without fields that are unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Reference(Model):
    """The name of an object in the same namespace: references never leave the namespace."""

    name: ObjectName
    """Name of the object in this namespace. Example: `srv1`."""


def cel(rule: str, message: str) -> dict[str, str]:
    """Return one CEL rule in the form that the API server takes, with a message that a person understands."""
    return {"rule": rule, "message": message}


def with_rules(*rules: dict[str, str]) -> ConfigDict:
    """Return the model configuration that adds CEL rules to the schema of a type."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": [{**rule} for rule in rules]})


IMMUTABLE = cel("self == oldSelf", "the spec is immutable: create a new object instead")
