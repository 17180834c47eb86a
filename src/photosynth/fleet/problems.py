"""What is wrong with a fleet file: where, what, and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Where a value stands inside the file: keys and list positions from the outside in."""


class Place(NamedTuple):
    """Where something stands: a file, and line and column in it, both from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: file, line and column (both from 1), the path of keys, what is wrong, and how to mend it."""

    file: str
    line: int
    column: int
    path: str
    what: str
    how_to_mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: " if self.path else "") + f"{self.what}. {self.how_to_mend}."


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake before it has a line: ``at_key`` points at the key itself and not at its value."""

    path: Path
    what: str
    how_to_mend: str
    at_key: bool = False


class FleetFileError(Exception):
    """A fleet file that cannot be used; ``problems`` holds every mistake that was found, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def path_text(path: Path) -> str:
    """A path as people write it: machines.groups[2].count, counted from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part}" if text else part
    return text
