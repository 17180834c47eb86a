"""One fleet file of several: what `include` names is read, and its sections join those of the file that names it.

Lists are joined, this file's entries first, then those of the included ones in the order of `include` and of their names.
Mappings are joined key by key, and a value that stands in two files is a mistake. Every value keeps the place where it stands.
"""

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import cast

from photosynth.files.bounded import read_file
from photosynth.fleet.problems import Finding, Path, Problem
from photosynth.fleet.yaml_source import LARGEST_FILE, MOST_VALUES, Source, Value, YamlRefusedError, another_place, read

MOST_FILES = 200


@dataclass(slots=True)
class Gathered:
    """What a file and all that it includes say, as one source; the files in the order in which they were read."""

    source: Source
    files: list[str]
    problems: list[Problem] = field(default_factory=list)


def gather(raw: bytes, name: str, folder: FilePath) -> Gathered:
    """A file's bytes and what they include, found from ``folder`` on. Raises YamlRefusedError where the bytes are no YAML."""
    found = Gathered(read(raw, name), [name])
    own = {(folder / FilePath(name).name).resolve()}
    _include(found, found.source.value, (), folder, own)
    return found


def _include(found: Gathered, value: Value, at: Path, folder: FilePath, seen: set[FilePath]) -> None:
    """Take in what one file's `include` names; ``at`` is where its entries stand in the joined source."""
    patterns = value.get("include") if isinstance(value, dict) else None
    first = cast("int", at[0]) if at else 0
    for number, pattern in enumerate(patterns if isinstance(patterns, tuple) else ()):
        where: Path = ("include", first + number)
        if not isinstance(pattern, str):
            continue  # the model says what is wrong with it
        for path in _matching(found, pattern, where, folder):
            _take(found, path, where, seen)


def _matching(found: Gathered, pattern: str, where: Path, folder: FilePath) -> list[FilePath]:
    """The files that a pattern names, sorted; a finding where there are none."""
    mend = "Name files from this one's folder on, like sites/*.yaml"
    try:
        usable = "**" not in pattern and len(pattern) <= 1000
        paths = sorted(folder.glob(pattern)) if usable else []
    except (NotImplementedError, ValueError, OSError):  # an absolute one, an empty one, one with a zero byte
        usable, paths = False, []
    if not usable:
        found.source.findings.append(Finding(where, "this is not a usable pattern of files", mend))
    elif not paths:
        found.source.findings.append(Finding(where, f"no file is called {pattern[:100]} in {folder}", mend))
    return paths


def _take(found: Gathered, path: FilePath, where: Path, seen: set[FilePath]) -> None:
    """Read one file and join it, with what it includes itself."""
    findings = found.source.findings
    if len(found.files) >= MOST_FILES:
        findings.append(Finding(where, f"more than {MOST_FILES} files are included", "Put several sites or nodes into one file"))
        return
    if found.source.count > MOST_VALUES:
        return  # it is said already
    try:
        real, raw = path.resolve(), read_file(path, LARGEST_FILE + 1)
    except (OSError, RuntimeError) as error:  # a RuntimeError tells of links in a circle, as 3.11 and 3.12 do
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        findings.append(Finding(where, f"{path} cannot be read: {reason}", "Mend it, or do not include it"))
        return
    if real in seen:
        findings.append(Finding(where, f"{path} is read already", "Name each file once, and not the file itself"))
        return
    seen.add(real)
    try:
        source = read(raw, str(path))
    except YamlRefusedError as refused:
        found.problems.append(Problem(str(path), *refused.position, "", refused.what, refused.how_to_mend))
        return
    found.files.append(str(path))
    if not isinstance(source.value, dict):
        findings.append(Finding(where, f"{path} is not a mapping of sections", "Write sections in it, like `sites:` or `nodes:`"))
        return
    before = found.source.value.get("include") if isinstance(found.source.value, dict) else None
    _join(found.source, source)
    if found.source.count > MOST_VALUES:
        findings.append(Finding(where, f"the files hold more than {MOST_VALUES} values together", "Write fewer, without aliases"))
        return
    _include(found, source.value, (len(before) if isinstance(before, tuple) else 0,), path.parent, seen)


def _join(into: Source, other: Source) -> None:
    """Add another source's values, places and findings."""
    joining = _Joining(into, other)
    into.value = joining.joined(into.value, other.value, ())
    for places, others in ((into.keys, other.keys), (into.values, other.values)):
        for path, place in others.items():
            places.setdefault(joining.now_at(path), place)
    into.findings += [Finding(joining.now_at(f.path), f.what, f.how_to_mend, f.at_key) for f in other.findings]
    into.count += other.count


class _Joining:
    """Joins another source's values to one's, and knows where the other's entries stand then."""

    def __init__(self, into: Source, other: Source) -> None:
        self._into, self._other = into, other
        self._moved: dict[Path, Path] = {}

    def now_at(self, path: Path) -> Path:
        """Where what stood at a path of the other source stands now."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._moved:
                return (*self._moved[path[:length]], *path[length:])
        return path

    def joined(self, value: Value, more: Value, path: Path) -> Value:
        """Two values of one path as one."""
        if isinstance(value, tuple) and isinstance(more, tuple):
            self._moved.update({(*path, number): (*path, len(value) + number) for number in range(len(more))})
            return (*value, *more)
        if isinstance(value, dict) and isinstance(more, dict):
            found = dict(value)
            for key, item in more.items():
                found[key] = self.joined(found[key], item, (*path, key)) if key in found else item
            return found
        twice = another_place(self._into.keys, path)
        first = self._into.place(path, at_key=True)
        self._into.keys[twice] = self._other.place(path, at_key=True)
        what = f"it is given already in {first.file}, line {first.line}"
        self._into.findings.append(Finding(twice, what, "Keep one of them", at_key=True))
        self._moved[path] = twice
        return value
