"""A JSON Schema of the fleet file, by which an editor completes and checks it (JSON Schema, draft 2020-12).

It says what keys there are, what each means, and which kinds of value it takes. What holds between parts (names that lead
nowhere, ports taken twice) `photosynth fleet check` alone says.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from photosynth.energy.market_kind import MARKETS
from photosynth.energy.meter_driver import METERS
from photosynth.energy.source_kind import SOURCES
from photosynth.fleet.by_name import by_name
from photosynth.fleet.fleet import Fleet
from photosynth.fleet.texts import field_texts, parser_of
from photosynth.miners.driver import MACHINES
from photosynth.networks.registry import installed
from photosynth.registry import Registry
from photosynth.settings.units import Dimension

Schema = dict[str, Any]
REGISTRIES: tuple[Registry[Any], ...] = (MACHINES, METERS, SOURCES, MARKETS)
"""Whose drivers a fleet file may name beside its nodes' networks."""
_SCALAR = ["string", "number"]


def fleet_schema() -> Schema:
    """The schema, with the networks and drivers that are installed here and can be used."""
    models: dict[str, Schema] = {}
    whole = _model(Fleet, models)
    for name in ("Node", "Wallet"):
        models[name]["properties"]["network"]["enum"] = list(installed())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Photosynth fleet file",
        **whole,
        "$defs": models,
    }


def _model(model: type[BaseModel], models: dict[str, Schema]) -> Schema:
    texts = field_texts(model)
    properties: dict[str, Schema] = {}
    for name, field in model.model_fields.items():
        found = {"description": texts[name], **_value(field.annotation, field.metadata, models)}
        if isinstance(field.default, str | int | bool):
            found["default"] = field.default
        properties[field.alias or name] = found
    needed = [field.alias or name for name, field in model.model_fields.items() if field.default is PydanticUndefined]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _value(annotation: Any, metadata: list[Any], models: dict[str, Schema]) -> Schema:
    named = by_name(metadata)
    if named is not None:
        return {"oneOf": [_reference(part, models) for _, part in named.parts()]}
    parser = parser_of(metadata)
    if isinstance(parser, Dimension):
        return {"type": _SCALAR, "examples": [parser.example]}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(arguments[0], list(arguments[1:]), models)
    if origin in (UnionType, Union):
        ways = [_value(item, metadata, models) for item in arguments if item is not NoneType]
        ways = [way for number, way in enumerate(ways) if way not in ways[:number]]
        return ways[0] if len(ways) == 1 else {"anyOf": ways}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        several = {"type": "array", "items": _value(arguments[0], [], models)}
        return {"oneOf": [several["items"], several]} if getattr(parser, "__name__", "") == "listed" else several
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(arguments[1], [], models)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _reference(annotation, models)
    return _plain(annotation, parser, metadata)


def _reference(model: type[BaseModel], models: dict[str, Schema]) -> Schema:
    if model.__name__ not in models:
        models[model.__name__] = {}
        models[model.__name__] = _model(model, models)
    return {"$ref": f"#/$defs/{model.__name__}"}


def _plain(annotation: Any, parser: Any, metadata: list[Any]) -> Schema:
    if parser is not None:
        return {"type": _SCALAR}  # YAML reads 1fffe000 or 2026-01-01 in its own way, and the parser takes both
    limits = {type(marker).__name__: marker for marker in metadata}
    found: Schema = {"type": {bool: "boolean", int: "integer"}.get(annotation, "string")}
    for marker, attribute, key in (("Ge", "ge", "minimum"), ("Le", "le", "maximum")):
        if marker in limits:
            found[key] = getattr(limits[marker], attribute)
    return found
