"""YAML text to plain values that remember where they stand: line and column of every key and value.

Only the tree is taken from ruamel.yaml; nothing is constructed, so that a tag can run no code, numbers stay exact
(Decimal, never float) and an alias bomb or a deep nest is refused before it grows.
"""

import warnings
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from photosynth.fleet.problems import Finding, Path, Place

LARGEST_FILE = 1_000_000
"""Bytes; a thousand groups with a line each are a tenth of it."""
MOST_VALUES = 50_000
DEEPEST = 12
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}

Value = str | int | Decimal | bool | None | tuple["Value", ...] | dict[str, "Value"]
Position = tuple[int, int]


class YamlRefusedError(Exception):
    """Text that is not usable YAML: what, how to mend, and where (line and column from 1)."""

    def __init__(self, what: str, how_to_mend: str, position: Position = (1, 1)) -> None:
        super().__init__(what)
        self.what, self.how_to_mend, self.position = what, how_to_mend, position


@dataclass(slots=True)
class Source:
    """The values of a file with their places, and the mistakes met on the way (duplicate keys, odd tags)."""

    file: str
    value: Value = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    count: int = 0

    def place(self, path: Path, at_key: bool = False) -> Place:
        """Where a path stands, or the nearest thing around it."""
        for length in range(len(path), -1, -1):
            part = path[:length]
            found = self.keys.get(part) if at_key or length < len(path) else None
            found = found or self.values.get(part)
            if found:
                return found
        return Place(self.file, 1, 1)


def read(raw: bytes, file: str) -> Source:
    """The values of a YAML document, which stands in a file of that name. Raises YamlRefusedError where it cannot be read."""
    if len(raw) > LARGEST_FILE:
        raise YamlRefusedError(
            f"the file is larger than {LARGEST_FILE // 1_000_000} MB", "Split it with `include`, or shorten it"
        )
    text = _decode(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML lets an anchor be given anew
            root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _refused(error) from None
    except ReaderError as error:
        at = error.position if isinstance(error.position, int) else 0
        raise YamlRefusedError("a control character stands in the text", "Remove it", _count_to(text, at)) from None
    except RecursionError:
        raise YamlRefusedError("values are nested too deeply", f"Nest at most {DEEPEST} levels") from None
    except (YAMLError, ValueError, AttributeError, LookupError, TypeError, AssertionError, NotImplementedError) as error:
        raise YamlRefusedError(f"this is not YAML that can be read ({type(error).__name__})", "See the examples") from None
    source = Source(file)
    if root is None:
        raise YamlRefusedError("the file is empty", "Start from examples/backnang.yaml")
    source.value = _value(root, (), source)
    return source


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        raise YamlRefusedError("the file is not UTF-8 text", "Save it as UTF-8", _count_to(before, len(before))) from None


def _count_to(text: str, index: int) -> Position:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _refused(error: MarkedYAMLError) -> YamlRefusedError:
    mark = error.problem_mark or error.context_mark
    position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = " ".join(str(part) for part in (error.context, error.problem) if part)
    mends = {
        "'\\t'": "Indent with spaces, never with tabs",
        "mapping values are not allowed": "Put texts with a colon in quotes, and check the indentation",
        "expected a single document": "Keep one document per file; remove the `---` between them",
        "undefined alias": "Define the anchor before, or put a text that begins with * in quotes",
        "cannot start any token": "Put texts that begin with a special character in quotes",
        "end of stream": "Close the quotes and brackets",
        "stream end": "Close the quotes and brackets",
    }
    mend = next((advice for part, advice in mends.items() if part in what), "Check indentation, quotes and brackets here")
    return YamlRefusedError(f"not valid YAML: {what}", mend, position)


def _value(node: Node, path: Path, source: Source) -> Value:
    position = (node.start_mark.line + 1, node.start_mark.column + 1)
    source.values.setdefault(path, Place(source.file, *position))
    source.count += 1
    if source.count > MOST_VALUES:
        raise YamlRefusedError(f"more than {MOST_VALUES} values, aliases counted", "Write fewer, without aliases", position)
    if len(path) > DEEPEST:
        raise YamlRefusedError("values are nested too deeply", f"Nest at most {DEEPEST} levels", position)
    if node.tag not in _TAGS:
        source.findings.append(Finding(path, f"the tag {str(node.tag)[:60]} means nothing here", "Remove the tag"))
        return None
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, MappingNode):
        return _mapping(node, path, source)
    return tuple(_value(item, (*path, number), source) for number, item in enumerate(node.value))


def _mapping(node: MappingNode, path: Path, source: Source) -> Value:
    result: dict[str, Value] = {}
    for key_node, value_node in node.value:
        at = Place(source.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, ScalarNode):
            source.keys.setdefault((*path, "?"), at)
            source.findings.append(Finding((*path, "?"), "a key is not a text", "Write keys as plain words", at_key=True))
            continue
        key = str(key_node.value)
        if key in result:
            first = source.keys[(*path, key)].line
            twice = another_place(source.keys, (*path, key))
            source.keys[twice] = at
            source.findings.append(
                Finding(twice, f"the key is given twice, first in line {first}", "Keep one of them", at_key=True)
            )
            continue
        source.keys[(*path, key)] = at
        result[key] = _value(value_node, (*path, key), source)
    return result


def another_place(places: dict[Path, Place], path: Path) -> Path:
    """A path for what stands at a path once more: its last key with spaces behind, so that each has a place of its own."""
    twice: Path = (*path[:-1], f"{path[-1]} ")
    while twice in places:
        twice = (*twice[:-1], f"{twice[-1]} ")
    return twice


def _scalar(node: ScalarNode) -> Value:
    text, kind = str(node.value), str(node.tag).removeprefix(_CORE)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind == "int" and len(text) <= 40:
        try:
            return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2].lower() in {"0x", "0o", "0b"} else 10)
        except ValueError:
            return text
    if kind == "float" and len(text) <= 40:
        try:
            number = Decimal(text.replace("_", ""))
        except InvalidOperation:
            return text
        return number if number.is_finite() and abs(number.adjusted()) < 40 else text
    return text
