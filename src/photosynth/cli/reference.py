"""Writes docs/reference from the models themselves: ``python -m photosynth.cli.reference docs/reference``.

The fleet file's keys from the classes of `photosynth.fleet` and the texts below their fields, the command line from its
options, the documents from the classes that ``--json`` prints. A test holds the committed pages against these.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from photosynth import documents
from photosynth.api.metrics import FAMILIES, LOOP_LAG, exposed_name
from photosynth.cli.app import app
from photosynth.fleet import Fleet
from photosynth.fleet.by_name import ByName, by_name
from photosynth.fleet.texts import field_texts, parser_of
from photosynth.settings.units import Dimension
from photosynth.simulation.backtest_report import BacktestReport
from photosynth.treasury.evidence.check_chain_export import ChainReport
from photosynth.treasury.evidence.report import StreamReport, VerifyReport

FLEET_HEAD = """# The fleet file

Written by `make reference` from the models in `src/photosynth/fleet`. A quantity is a number and its unit, `400 kW`; it becomes
an exact integer and is never rounded. `photosynth fleet check FILE` names every mistake with its line and column.
[backnang.yaml](../../examples/backnang.yaml) runs.
"""
COMMANDS_HEAD = """# The command line

Written by `make reference` from the commands themselves.

| exit code | meaning |
| --- | --- |
| 0 | it was done, or the answer is yes |
| 1 | the answer is no: not found, does not hold, refused, not verified by reading back |
| 2 | the command line or a file given to it cannot be used; nothing was started or changed |
| 3 | what is needed is not there: no system runs, the state or a port is in use, no answer, the disk is full |
| 4 | a mistake in Photosynth itself, which says nothing about what was asked; please report it |

Answers go to standard output, errors and progress to standard error. Where the system runs, commands talk to it through its API;
else they read the stopped one's state. Numbers are written in the German habit where `LC_ALL`, `LC_NUMERIC` or `LANG` says so.
"""
DOCUMENTS_HEAD = """# Documents

Written by `make reference` from the classes that `--json` prints and the [API](http-api.md) answers with. Counters are
cumulative over the life of the state. `null` is unknown, which is neither zero nor healthy. A *big integer* is decimal text,
because it may exceed 2^53. A name ends in its unit: `_w` watts, `_j` joules, `_s` seconds, `_ms` milliseconds since the epoch
(UTC), `_sat` satoshis, `_ueur` micro-EUR, `_cent_per_mwh`, `_cent_per_btc`, `_hs` hashes per second.
"""
METRICS_HEAD = """# Metrics

Written by `make reference` from the table that `GET /metrics` is made from; how to use it says
[Prometheus and Grafana](../how-to/prometheus-and-grafana.md). Every value stands in a [document](documents.md), too. What is
unknown has no sample: it is not zero. A counter only rises; its name ends in `_total`. Labels are names of the fleet file and
the words listed here; machines, shares and validators have none.

A fleet has at most 27 series a site, 8 a node, 2 an asset, and 27 besides. A sample is a float of 64 bits: whole numbers are
exact up to 2^53, and where more is at stake, in money above all, the documents are what counts.

| metric | kind | labels | meaning | from |
| --- | --- | --- | --- | --- |
"""
REPORT_TEXTS = {
    "path": "the file",
    "is_evidence": "whether it is an export of evidence at all",
    "holds": "whether all of it holds",
    "is_chain": "whether the file given with `--chain` is an export of a chain; null without it",
    "reason": "why not, in a sentence",
    "failed_line": "number of the first line that does not hold, from 1; null where none is at fault",
    "failed_stream": "its stream, where it could be read",
    "failed_seq": "the `seq` that this line should have in it",
    "failed_interval_utc": "its quarter hour, ISO 8601, where it could be read",
    "lines": "lines checked so far",
    "records": "quarter hours among them",
    "head": "the root over the heads of all streams; of one site alone the hash of its newest line",
    "public_key": "the first key of the first site; compare it with one that you know",
    "key_expected": "whether all streams are vouched for by keys given with `--key`; null where none was given",
    "complete": "whether the file has all streams of the fleet",
    "site": "name of the site; null where there are several",
    "first_interval_utc": "start of the first quarter hour, ISO 8601",
    "last_interval_utc": "start of the last quarter hour, ISO 8601",
    "streams": "each stream of the file",
    "chain": "what an export of the chain says of the file; null without `--chain`",
    "totals": "sums over the file, each named with its unit; big integers",
    "proven": "what the file proves by itself",
    "estimated": "what it lets one estimate",
    "trusted": "what rests on trust",
    "stream": "a site's name, or `books`",
    "quarter_hours": "how many a site's stream has",
    "first_key": "the key that its first line names",
    "rotations": "how often it was handed over to a new key",
    "blocks": "how many blocks the export has",
    "tip": "hash of the last of them",
    "work_hashes": "hashes expected behind their headers; a big integer",
    "standing": "blocks that the books have in the chain, all of them found there",
    "others": "blocks of the file that do not stand in the books",
    "others_found": "of them, those that are in the chain",
    "later": "blocks above the file's last that pay a script of it; null where headers came alone",
    "earlier": "blocks no higher than the file's last that pay a script of it and are not in it; null where headers came alone",
}
OF_STREAMS = {"head": "hash of its newest line", "public_key": "the key that signs it now", "lines": "its lines"}
OF_STREAMS |= {"key_expected": "whether its first key is one of those given with `--key`; null where none was given"}
OF_CHAINS = {"chain": "name of the chain"}
"""The verifier's report is a plain dataclass, so that a verifier needs little; its fields are explained here."""
DOCUMENTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("`photosynth status --json`", documents.Status),
    ("`photosynth workers --json`", documents.WorkersDocument),
    ("`photosynth incidents --json`, `GET /api/v1/incidents`: a list of", documents.IncidentDocument),
    ("`photosynth alerts test --json`: a list of", documents.AlertTestDocument),
    ("`photosynth trace --json`", documents.TraceDocument),
    ("`photosynth ledger --json`", documents.LedgerDocument),
    ("`photosynth stop-mining --json`, `resume-mining --json`, `GET /api/v1/actions`", documents.ActionDocument),
    ("`GET /api/v1/machines`", documents.MachineDocument),
    ("`GET /api/v1/day`", documents.DayPoint),
    ("`photosynth backtest --json`", BacktestReport),
)


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "fleet-file.md": FLEET_HEAD + "".join(_fleet_sections()),
        "command-line.md": COMMANDS_HEAD + "".join(_commands()),
        "documents.md": DOCUMENTS_HEAD + "".join(_document_sections()),
        "metrics.md": METRICS_HEAD + "".join(_metrics()),
    }


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_paragraph(model: type) -> str:
    return " ".join((inspect.getdoc(model) or "").split("\n\n", maxsplit=1)[0].split()).replace("``", "`")


def _models_in(annotation: Any) -> Iterator[type[Any]]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _fleet_sections() -> Iterator[str]:
    queue: list[tuple[str, type[BaseModel], ByName | None]] = [("", Fleet, None)]
    seen: set[type[BaseModel]] = set()
    while queue:
        path, model, named = queue.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield f"\n## {f'`{path}`' if path else 'The whole file'}\n{_first_paragraph(model)}\n\n"
        drivers = [] if named is None else [named.registry.need(name) for name, _ in named.parts()]
        if named is not None:
            yield "".join(f"- `{named.key}: {driver.name}`: {driver.title}.\n" for driver in drivers) + "\n"
        yield "| key | value | needed | meaning |\n| --- | --- | --- | --- |\n"
        for key, field, text in _keys(model, named):
            needed = "yes" if field.is_required() else _default(field.default)
            yield f"| `{key}` | {_cell(_value(field.annotation, field.metadata))} | {needed} | {_cell(text)} |\n"
            several = "[]" if get_origin(field.annotation) is tuple else ""
            queue += [
                (f"{path}.{key}{several}".lstrip("."), inner, mark) for inner, mark in _parts_in(field.annotation, field.metadata)
            ]


def _parts_in(annotation: Any, metadata: list[Any]) -> Iterator[tuple[type[BaseModel], ByName | None]]:
    """The parts that a field may hold, each with what names its driver, if something does."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, by_name(metadata)
    elif get_origin(annotation) is Annotated:
        yield from _parts_in(get_args(annotation)[0], list(get_args(annotation)[1:]))
    else:
        for part in get_args(annotation):
            yield from _parts_in(part, [])


def _keys(model: type[BaseModel], named: ByName | None) -> Iterator[tuple[str, FieldInfo, str]]:
    """Each key with its text; one that only a driver has says of which."""
    texts = field_texts(model)
    for name, field in model.model_fields.items():
        if named is not None and name == named.key:
            names: Any = Literal[tuple(name for name, _ in named.parts())]
            default = PydanticUndefined if named.default is None else named.default
            yield name, FieldInfo(annotation=names, default=default), texts[name]
        else:
            yield field.alias or name, field, texts[name]
    for driver, part in () if named is None else named.parts():
        more = field_texts(part)
        for name, field in part.model_fields.items():
            if name not in model.model_fields:
                yield field.alias or name, field, f"`{driver}`: {more[name]}"


def _default(value: Any) -> str:
    if value is None or value in ((), PydanticUndefined) or isinstance(value, BaseModel):
        return "no"
    if isinstance(value, bool):
        return f"no: `{str(value).lower()}`"
    if isinstance(value, tuple):
        return "no: " + ", ".join(f"`{item}`" for item in value)
    return f"no: `{value}`"


def _value(annotation: Any, metadata: list[Any]) -> str:
    """What may be written: from a quantity's dimension, a parser's own description, or the type."""
    parser = parser_of(metadata)
    if isinstance(parser, Dimension):
        return f"{parser.name} in {parser.unit_list()}, like `{parser.example}`"
    if parser is not None and parser.__doc__ and parser.__module__.endswith(("settings.values", "fleet.alerts")):
        return _sentence_part(parser.__doc__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{str(item).lower() if isinstance(item, bool) else item}`" for item in arguments)
    if origin is tuple:
        return f"list of: {_value(arguments[0], [])}"
    if origin is dict:
        return f"mapping of names to: {_value(arguments[1], [])}"
    if origin is Annotated:
        return _value(arguments[0], list(arguments[1:]))
    if origin in (UnionType, Union):
        return _value(*_without_none(arguments))
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return "mapping, see below"
    limits = {type(marker).__name__: marker for item in metadata for marker in getattr(item, "metadata", [item])}
    if annotation is int:
        low, high = limits.get("Ge"), limits.get("Le")
        return f"whole number from {low.ge if low else 0} to {high.le if high else 'any'}"
    return {bool: "`true` or `false`", str: "text"}.get(annotation, "text")


def _without_none(arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    rest = next(item for item in arguments if item is not NoneType)
    return (get_args(rest)[0], list(get_args(rest)[1:])) if get_origin(rest) is Annotated else (rest, [])


def _sentence_part(text: str) -> str:
    first = text.split("\n", maxsplit=1)[0].rstrip(".")
    return first if first[1:2].isupper() else first[:1].lower() + first[1:]


def _document_sections() -> Iterator[str]:
    seen: set[type[BaseModel]] = set()
    for title, model in DOCUMENTS:
        yield f"\n## {title}\n"
        queue = [model]
        while queue:
            current = queue.pop(0)
            if current in seen:
                continue
            seen.add(current)
            hints = get_type_hints(current, include_extras=True)
            yield f"\n### {current.__name__.lstrip('_')}\n{_first_paragraph(current)}\n\n"
            yield "| field | type | meaning |\n| --- | --- | --- |\n"
            texts = field_texts(current)
            for name in current.model_fields:
                yield f"| `{name}` | {_cell(_type(hints[name]))} | {_cell(texts.get(name, ''))} |\n"
                queue += _models_in(hints[name])
    yield f"\n## `photosynth verify --json`\n{_first_paragraph(VerifyReport)} Its format's page has [more](evidence.md).\n\n"
    for report, texts in ((VerifyReport, REPORT_TEXTS), (StreamReport, OF_STREAMS), (ChainReport, OF_CHAINS)):
        if report is not VerifyReport:
            yield f"\n### {report.__name__}\n{_first_paragraph(report)}\n\n"
        yield "| field | type | meaning |\n| --- | --- | --- |\n"
        for name, hint in get_type_hints(report).items():
            kind = _type(hint).replace("text to integer", "text to big integer")
            yield f"| `{name}` | {kind} | {_cell(texts.get(name, REPORT_TEXTS[name]))} |\n"


def _type(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        pattern = any(getattr(marker, "pattern", None) for item in arguments[1:] for marker in getattr(item, "metadata", ()))
        return "big integer" if arguments[0] is str and pattern else _type(arguments[0])
    if origin in (UnionType, Union):
        return " or ".join("null" if item is NoneType else _type(item) for item in arguments)
    if origin is Literal:
        return ", ".join(f"`{item}`" for item in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object: text to {_type(arguments[1])}"
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        name = annotation.__name__.lstrip("_")
        return f"[{name}](#{name.lower()})"
    return {int: "integer", str: "text", bool: "true or false", float: "number"}.get(annotation, str(annotation))


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    for name, found in root.commands.items():
        for path, command in (
            [(f"{name} {sub}", inner) for sub, inner in found.commands.items()] if hasattr(found, "commands") else [(name, found)]
        ):
            yield from _command(f"photosynth {path}", command)


def _command(path: str, command: Any) -> Iterator[str]:
    positional = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option" and parameter.name != "help"]
    words = " ".join([path, *(str(parameter.metavar or parameter.name.upper()) for parameter in positional)])
    yield f"\n## `{words}`\n{' '.join(command.help.split())}\n\n"
    yield "```\n" + re.sub(r"^Example: ", "", command.epilog) + "\n```\n"
    if positional or options:
        yield "\n| parameter | meaning |\n| --- | --- |\n"
    for parameter in (*positional, *options):
        flag = parameter.is_flag if hasattr(parameter, "is_flag") else False
        value = "" if flag or parameter in positional else f" {parameter.metavar or 'VALUE'}"
        title = parameter.metavar if parameter in positional else parameter.opts[0]
        yield f"| `{_cell(f'{title}{value}')}` | {_cell(' '.join([parameter.help or '', *_notes(parameter)]))} |\n"


def _notes(parameter: Any) -> Iterator[str]:
    """What the help of a parameter does not say: that it is needed, its default, the environment's name for it."""
    if parameter.required:
        yield "Needed."
    shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    if isinstance(shown, str):
        yield f"Default: {shown}."
    if getattr(parameter, "envvar", None):
        yield f"Or `{parameter.envvar}` in the environment."


def _metrics() -> Iterator[str]:
    for family in (*FAMILIES, LOOP_LAG):
        labels = ", ".join(f"`{label}`" for label in family.labels)
        kind = "histogram" if family is LOOP_LAG else family.kind
        yield f"| `{exposed_name(family)}` | {kind} | {labels} | {_cell(family.meaning)} | {_cell(family.source)} |\n"


def write(folder: Path) -> None:
    """Write every page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
