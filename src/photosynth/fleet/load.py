"""Reading a fleet file: every mistake at once, each with line, column, what it is and how to mend it."""

from pathlib import Path as FilePath
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from photosynth.fleet.by_name import by_name
from photosynth.fleet.checks import check
from photosynth.fleet.fleet import Fleet
from photosynth.fleet.include import Gathered, gather
from photosynth.fleet.plain import did_you_mean
from photosynth.fleet.problems import Finding, FleetFileError, Path, Problem, path_text
from photosynth.fleet.yaml_source import LARGEST_FILE, Value, YamlRefusedError
from photosynth.settings.units import shown

MOST_PROBLEMS = 200


def load_fleet(path: FilePath) -> Fleet:
    """The fleet that a file declares. Raises FleetFileError with every problem, a missing file among them."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        mend = "Name an existing fleet file, like examples/backnang.yaml"
        raise FleetFileError([Problem(name, 1, 1, "", f"the file cannot be read: {reason}", mend)]) from None
    return parse_fleet(raw, name, path.parent)


def parse_fleet(raw: bytes, name: str, folder: FilePath) -> Fleet:
    """The fleet in a file's bytes; what it includes, and relative paths in it, start at ``folder``. Raises FleetFileError."""
    try:
        found = gather(raw, name, folder)
    except YamlRefusedError as refused:
        raise FleetFileError([Problem(name, *refused.position, "", refused.what, refused.how_to_mend)]) from None
    value = found.source.value
    if not isinstance(value, dict):
        mend = "Start with `version: 2` and sections like `sites:`; see examples/backnang.yaml"
        raise FleetFileError([Problem(*found.source.place(()), "", "the file is not a mapping of sections", mend)])
    findings = list(found.source.findings)
    fleet: Fleet | None = None
    try:
        fleet = Fleet.model_validate(value, context={"folder": folder})
    except ValidationError as error:
        findings += [_finding(dict(detail), value) for detail in error.errors(include_url=False) if not _follows(dict(detail))]
    findings += check(value)
    if findings or found.problems or fleet is None:
        raise FleetFileError(_problems(findings, found))
    return fleet


def _problems(findings: list[Finding], found: Gathered) -> list[Problem]:
    unique = {(f.path, f.what): f for f in findings}.values()
    problems = list(found.problems)
    for finding in unique:
        place = found.source.place(finding.path, finding.at_key)
        where = path_text(tuple(part.strip() if isinstance(part, str) else part for part in finding.path))
        problems.append(Problem(*place, where, finding.what, finding.how_to_mend))
    order = {file: number for number, file in enumerate(found.files)}
    problems.sort(key=lambda problem: (order.get(problem.file, len(order)), problem.line, problem.column, problem.path))
    if len(problems) > MOST_PROBLEMS:
        more = len(problems) - MOST_PROBLEMS
        last = problems[MOST_PROBLEMS]
        rest = Problem(last.file, last.line, last.column, "", f"and {more} more problems from here on", "Mend those above first")
        problems = [*problems[:MOST_PROBLEMS], rest]
    return problems


def _follows(error: dict[str, Any]) -> bool:
    """Whether a mistake only follows from others: a list is counted too short because its entries were refused."""
    return bool(error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"])


def _finding(error: dict[str, Any], root: Value) -> Finding:
    """What one of pydantic's errors means to the person who wrote the file."""
    path: Path = tuple(error["loc"])
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "fleet":
        return Finding((*path, context["at"]) if context["at"] else path, context["what"], context["mend"])
    if kind == "missing":
        return Finding(path, "it is missing", f"Add `{path[-1]}:`{_example(path, root)}", at_key=True)
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1], root)
        mend = did_you_mean(str(path[-1]), known, f"Remove it; known here are {', '.join(known)}")
        return Finding(path, "this key is not known", mend, at_key=True)
    if kind == "literal_error":
        choices = _choices(str(context["expected"]))
        if path == ("version",):
            return Finding(path, f"version {shown(value)} of the format is not known", "Write `version: 2`")
        if path[0] == "sites" and path[-1] == "simulated":
            return Finding(path, "real sources and loads cannot be read yet", "Write `simulated: true`")
        text = "it takes only" if len(choices) == 1 else "it takes one of"
        if not isinstance(value, str) and str(value) in choices:
            return Finding(path, f"{shown(value)} is a number where a text is needed", f'Put it in quotes: "{value}"')
        mend = did_you_mean(str(value), choices, f"Write {' or '.join(choices)}")
        return Finding(path, f"{shown(value)} is not known here; {text} {', '.join(choices)}", mend)
    return Finding(path, *_plain(kind, context, value))


def _plain(kind: str, context: dict[str, Any], value: object) -> tuple[str, str]:
    """What and how to mend for the kinds of error that need no more than their limits."""
    got = shown(value)
    limits = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
    if kind in limits:
        key, word = limits[kind]
        return f"{got} is not {word} {context[key]}", f"Write a number of {word} {context[key]}"
    plain = {
        "int_type": (f"{got} is not a whole number", "Write a whole number without a unit"),
        "bool_type": (f"{got} is neither true nor false", "Write true or false"),
        "string_type": (f"{got} is not a text", "Put it in quotes"),
        "tuple_type": (f"{got} is not a list", "Write a list: [a, b], or lines that begin with `- `"),
        "model_attributes_type": (f"{got} is not a mapping", "Write `key: value` lines below it, or {key: value}"),
        "model_type": (f"{got} is not a mapping", "Write `key: value` lines below it, or {key: value}"),
        "too_short": ("there are too few entries", f"Write at least {context.get('min_length')}"),
        "too_long": ("there are too many entries", f"Write at most {context.get('max_length')}"),
        "string_too_short": ("the text is too short", f"Write at least {context.get('min_length')} characters"),
        "string_too_long": ("the text is too long", f"Write at most {context.get('max_length')} characters"),
        "string_pattern_mismatch": (f"{got} is not a usable name", "Use small letters, digits and underscores, a letter first"),
    }
    return plain.get(kind, (f"{got} cannot be used here ({kind})", "See docs/reference/fleet-file.md"))


def _choices(expected: str) -> list[str]:
    """The choices in pydantic's sentence: 'a', 'b' or 'c'."""
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _model_at(path: Path, root: Value) -> type[BaseModel] | None:
    """The class of what stands at a place; None where it is none or cannot be told."""
    model: type[BaseModel] | None = Fleet
    annotation: Any = Fleet
    metadata: list[Any] = []
    value: Any = root
    for part in path:
        if isinstance(part, int):
            annotation, metadata = next(iter(get_args(annotation)), None), []
            value = value[part] if isinstance(value, tuple) and part < len(value) else None
        else:
            field = _field_at(model, part)
            annotation, metadata = (None, []) if field is None else (field.annotation, field.metadata)
            value = value.get(part) if isinstance(value, dict) else None
        model = _model_of(annotation, metadata, value)
    return model


def _model_of(annotation: Any, metadata: list[Any], value: object) -> type[BaseModel] | None:
    """The class that a value of the file is held against."""
    named = by_name(metadata)
    if named is not None:
        return named.part_of(value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner, more = get_args(annotation), []
    if get_origin(annotation) is Annotated:
        inner, more = inner[:1], list(inner[1:])
    return next((model for part in inner if (model := _model_of(part, more, value)) is not None), None)


def _field_at(model: type[BaseModel] | None, key: str) -> FieldInfo | None:
    fields = {} if model is None else model.model_fields
    return next((field for name, field in fields.items() if (field.alias or name) == key), None)


def _keys_at(path: Path, root: Value) -> list[str]:
    model = _model_at(path, root)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _example(path: Path, root: Value) -> str:
    """How the missing value would be written, where its unit says so."""
    field = _field_at(_model_at(path[:-1], root), str(path[-1]))
    for marker in field.metadata if field else ():
        dimension = getattr(getattr(marker, "func", None), "__self__", None)
        if dimension is not None:
            return f" with {dimension.name}, like `{path[-1]}: {cast('str', dimension.example)}`"
    return ""
