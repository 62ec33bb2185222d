"""Writes one CustomResourceDefinition per kind from the types here: `python -m compose_backup.api.crdgen crds/`.

A field without a description, a string or list without an upper bound, and a union are refused here, because the first
leaves `kubectl explain` mute and the others make the API server refuse the definition or its CEL rules.
Called by `make generate`, and with `--check` by `make check`; tests/unit/api/ compares the committed files.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from compose_backup.api import generated
from compose_backup.api.base import GROUP, VERSION
from compose_backup.api.kinds import KINDS, Column, Kind

Schema = dict[str, Any]

CATEGORY = "compose-backup"
HEADER = "# Generated from operator/compose_backup/api/ by `make generate`; edits are lost.\n"
# An absent status means "never seen". kstatus takes an object without conditions for finished, unless its observed
# generation differs from its generation. Source: kubernetes-sigs/cli-utils, pkg/kstatus/status/generic.go.
NEVER_SEEN = {"observedGeneration": -1}

# What Pydantic says and the API server does not take. Unknown fields are pruned, or refused by strict field validation,
# without being told; keys of a map have no schema there.
NOT_STRUCTURAL = frozenset({"title", "additionalProperties", "propertyNames", "$defs"})
UNIONS = frozenset({"anyOf", "oneOf", "allOf", "const"})
EXCLUSIVE_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
KEY_ORDER = ("description", "type", "format", "enum", "default")


class UnfitType(Exception):
    """A type that no CRD can be made of; the message names the field."""


class StatusSchema(GenerateJsonSchema):
    """A JSON schema without nulls and without defaults: an optional field is one that may be absent."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Add what the docstrings under the fields say. Pydantic's way reads the source at each start of an agent."""
        found = super().model_schema(schema)
        properties = found.get("properties", {})
        for name, description in docstrings(schema["cls"]).items():
            properties[schema["cls"].model_fields[name].alias or name].setdefault("description", description)
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return `X` for `X | None`: the API server drops a null where none is allowed, and None means absent."""
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """Return an enum also for a single value, since `const` is unknown to the API server."""
        return {"type": "string", "enum": [str(value) for value in schema["expected"]]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave defaults out: every write of a status is whole."""
        return self.generate_inner(schema["schema"])


class SpecSchema(StatusSchema):
    """The same with those defaults that the API server fills in."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Keep defaults that say something. A nested object gets `{}`, which the API server fills in its turn."""
        inner = super().default_schema(schema)
        default = schema.get("default")
        if isinstance(default, BaseModel):
            return {**inner, "default": {}}
        return inner if default in (None, ()) else {**inner, "default": default}


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return what stands under each field of a type and of those that it inherits from."""
    found = {}
    for cls in reversed(model.__mro__):
        definition = _classes_of(cls.__module__).get(cls.__name__) if issubclass(cls, BaseModel) else None
        for field, below in pairwise(definition.body if definition else ()):
            match field, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = inspect.cleandoc(text)
    return {name: text for name, text in found.items() if name in model.model_fields}


@cache
def _classes_of(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes of a module as they are written."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def structural(model: type[BaseModel], generator: type[GenerateJsonSchema]) -> Schema:
    """Return the structural schema of a type, with everything inlined. Raises UnfitType."""
    raw = model.model_json_schema(schema_generator=generator)
    return _convert(raw, raw.get("$defs", {}), model.__name__)


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    node = _resolved(node, definitions)
    _refuse_unbounded(node, where)
    result = {key: value for key, value in node.items() if key not in NOT_STRUCTURAL}
    for exclusive, bound in EXCLUSIVE_BOUNDS.items():
        if exclusive in result:
            result |= {bound: result[exclusive], exclusive: True}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "properties" in node:
        result["properties"] = _properties(node["properties"], definitions, where)
    if "items" in node:
        result["items"] = _without_description(_convert(node["items"], definitions, f"{where}[]"))
    if result.get("default") == {} and not any("default" in field for field in result["properties"].values()):
        del result["default"]  # It would only put an empty field into everybody's objects.
    if node.get("additionalProperties"):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions, f"{where}{{}}")
    return {key: result[key] for key in (*KEY_ORDER, *sorted(result)) if key in result}


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Put a definition in place of its reference; what the field says beside it wins."""
    if "$ref" not in node:
        return dict(node)
    own = {key: value for key, value in node.items() if key != "$ref"}
    return {**definitions[node["$ref"].removeprefix("#/$defs/")], **own}


def _properties(properties: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    converted = {name: _convert(field, definitions, f"{where}.{name}") for name, field in properties.items()}
    for name, field in converted.items():
        if not field.get("description"):
            raise UnfitType(f"{where}.{name} has no description: write a docstring under the field")
    return converted


def _without_description(schema: Schema) -> Schema:
    """Leave out what the class of a list's items says: `kubectl explain` shows only what the list says."""
    return {key: value for key, value in schema.items() if key != "description"}


def _refuse_unbounded(node: Mapping[str, Any], where: str) -> None:
    unions = UNIONS & node.keys()
    if unions:
        raise UnfitType(
            f"{where} is a union ({', '.join(unions)}): write one optional field per variant and a CEL rule"
        )
    kind = node.get("type")
    if kind is None:
        raise UnfitType(f"{where} has no type")
    if kind == "string" and not {"maxLength", "enum"} & node.keys() and node.get("format") != "date-time":
        raise UnfitType(f"{where} is a string without max_length")
    if kind == "array" and "maxItems" not in node:
        raise UnfitType(f"{where} is a list without max_length")
    if node.get("additionalProperties") and "maxProperties" not in node:
        raise UnfitType(f"{where} is a map without max_length")


def custom_resource_definition(kind: Kind) -> Schema:
    """Return the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> Schema:
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    return {**version, "schema": {"openAPIV3Schema": root_schema(kind)}}


def _column(column: Column) -> Schema:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return {**shown, "priority": column.priority} if column.priority else shown


def root_schema(kind: Kind) -> Schema:
    """Return the schema of the whole object; the API server adds apiVersion, kind and metadata itself."""
    spec = structural(kind.spec, SpecSchema)
    root: Schema = {
        "description": spec["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": spec,
            "status": {**structural(kind.status, StatusSchema), "default": dict(NEVER_SEEN)},
        },
    }
    return {**root, "x-kubernetes-validations": list(kind.object_rules)} if kind.object_rules else root


def files() -> dict[str, str]:
    """Return the content of every generated file by its name."""
    definitions = {f"{kind.plural}.yaml": _yaml(custom_resource_definition(kind)) for kind in KINDS}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(definitions),
    }
    # Without an ending, so that `kubectl apply -f crds/` works as well as `-k`.
    return {**definitions, "Kustomization": _yaml(kustomization)}


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key and never writes anchors, as people write manifests."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(document: Schema) -> str:
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(generated.main("the CustomResourceDefinitions", files()))
