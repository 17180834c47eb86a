"""An entry of the audit: its words as a database takes them, its row, and one that stands for many."""

from dataclasses import dataclass
from typing import Any

from photosynth.actions import Action, End
from photosynth.quantities.instants import iso_utc

MAX_TEXT = 500
LONGEST_READ_BACK = 8_000
"""A stop's names every machine that stayed awake."""


@dataclass(slots=True)
class Counted:
    """Many of the same kind to the same subject, for which there was no room: the first, the last, and how many."""

    first: Action
    last: Action
    number: int

    def entry(self) -> Action:
        """One entry that stands for all of them; its end is the last one's."""
        first, last = self.first, self.last
        request = last.request
        if self.number > 1:
            request += f" ({self.number} times until {iso_utc(last.time_ms)}, too many to be kept singly)"
        texts = (last.actor, last.kind, last.subject, last.reason, request[:MAX_TEXT])
        return Action(*texts, first.time_ms, first.wall_ms, end=last.end, key=first.key, site=first.site)


def values_of(action: Action, end: End | None) -> dict[str, Any]:
    """An action with an end, as its row is written, but for its site."""
    return {
        "key": action.key,
        "time_ms": action.time_ms,
        "wall_ms": action.wall_ms,
        "actor": action.actor,
        "kind": action.kind,
        "subject": action.subject,
        "reason": action.reason,
        "request": action.request,
        "result": "planned" if end is None else end.result,
        "answer": None if end is None else end.answer,
        "read_back": None if end is None else end.read_back,
        "verified": None if end is None else end.verified,
        "finished_ms": None if end is None else end.at_ms,
    }


def clean(text: str | None, longest: int) -> str | None:
    """Words of a machine or a person as a database takes them: bounded, without halves of characters and without NUL."""
    return None if text is None else text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
