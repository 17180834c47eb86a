"""Reading a fleet file: every mistake at once, each with line, column, what it is and how to mend it."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError

from photosynth.fleet.checks import check
from photosynth.fleet.fleet import Fleet
from photosynth.fleet.include import Gathered, gather
from photosynth.fleet.plain import did_you_mean
from photosynth.fleet.problems import Finding, FleetFileError, Path, Problem, path_text
from photosynth.fleet.units import shown
from photosynth.fleet.yaml_source import LARGEST_FILE, Value, YamlRefusedError

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
    place: Path = tuple(error["loc"])
    path = _written(place, root)
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind(path, context, value)
    if kind == "fleet":
        return Finding((*path, context["at"]) if context["at"] else path, context["what"], context["mend"])
    if kind == "missing":
        return Finding(path, "it is missing", f"Add `{path[-1]}:`{_example(place)}", at_key=True)
    if kind == "extra_forbidden":
        known = _keys_at(place[:-1])
        mend = did_you_mean(str(path[-1]), known, f"Remove it; known here are {', '.join(known)}")
        return Finding(path, "this key is not known", mend, at_key=True)
    if kind == "literal_error":
        choices = _choices(str(context["expected"]))
        if path == ("version",):
            return Finding(path, f"version {shown(value)} of the format is not known", "Write `version: 2`")
        if path[0] == "sites" and path[-1] == "simulated":
            return Finding(path, "real meters cannot be read yet", "Write `simulated: true`")
        text = "it takes only" if len(choices) == 1 else "it takes one of"
        if not isinstance(value, str) and str(value) in choices:
            return Finding(path, f"{shown(value)} is a number where a text is needed", f'Put it in quotes: "{value}"')
        mend = did_you_mean(str(value), choices, f"Write {' or '.join(choices)}")
        return Finding(path, f"{shown(value)} is not known here; {text} {', '.join(choices)}", mend)
    return Finding(path, *_plain(kind, context, value))


def _written(place: Path, root: Value) -> Path:
    """A place without what pydantic puts into it: which kind of part it held an entry against, which the file has no key for."""
    path: list[str | int] = []
    value: Value = root
    for part in place:
        if isinstance(part, str) and path and isinstance(path[-1], int) and isinstance(value, dict) and value.get("kind") == part:
            continue
        path.append(part)
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, tuple) and isinstance(part, int):
            value = value[part]
        else:
            value = None
    return tuple(path)


def _kind(path: Path, context: dict[str, Any], value: object) -> Finding:
    """An entry whose kind is missing or not known, so that nothing else of it can be judged."""
    where = (*path, str(context["discriminator"]).strip("'"))
    if "tag" not in context:
        return Finding(where, "it is missing", f"Add `{where[-1]}:`", at_key=True)
    choices = _choices(str(context["expected_tags"]))
    mend = did_you_mean(str(context["tag"]), choices, f"Write {' or '.join(choices)}")
    return Finding(where, f"{shown(context['tag'])} is not known here; it takes one of {', '.join(choices)}", mend)


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


def _models_at(path: Path) -> list[type[BaseModel]]:
    """The class of what stands at a place, or several where it may be of several kinds and the place does not say which."""
    models: list[type[BaseModel]] = [Fleet]
    for part in path:
        if isinstance(part, int):
            continue
        of_kind = [model for model in models if len(models) > 1 and part in get_args(model.model_fields["kind"].annotation)]
        fields = [field for model in models for name, field in model.model_fields.items() if (field.alias or name) == part]
        models = of_kind or [inner for field in fields for inner in _models_in(field.annotation)]
    return models


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _keys_at(path: Path) -> list[str]:
    return list(dict.fromkeys(field.alias or name for model in _models_at(path) for name, field in model.model_fields.items()))


def _example(path: Path) -> str:
    """How the missing value would be written, where its unit says so."""
    known = [item for model in _models_at(path[:-1]) for item in model.model_fields.items()]
    field = next((field for name, field in known if (field.alias or name) == path[-1]), None)
    for marker in field.metadata if field else ():
        dimension = getattr(getattr(marker, "func", None), "__self__", None)
        if dimension is not None:
            return f" with {dimension.name}, like `{path[-1]}: {cast('str', dimension.example)}`"
    return ""
