"""What the audit's entries wait in while the database takes none, so that they outlive the process: a file of lines.

The first line names the state that it is of. Each other is an action as its row is to be, with its key; the last line of a key
counts. It is booked at the next start, in the order in which the actions were told and before anything else is written to the
audit. An entry whose key the database knows is not written again, so a line may be booked, or appended, twice. Once everything
that waited is in the database, the file is removed.
"""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from photosynth.files.whole import own_file, sync_folder
from photosynth.operations.state import StateError
from photosynth.storage.actions import finish_action, write_action
from photosynth.storage.tables import ACTIONS

MOST_BYTES = 64 << 20
"""Ten thousand lines of some 600 bytes are 6 MB: an entry and its end for each that the audit lets wait singly."""

_Text = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, Field(ge=0, lt=1 << 63)]


class SpooledAction(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: Annotated[str, Field(max_length=200, pattern=r"^[0-9a-z]+:[0-9]{1,18}$")]
    """Of a start, and the number that it had there."""
    site: _Text | None
    time_ms: _Number
    wall_ms: _Number
    actor: _Text
    kind: _Text
    subject: _Text
    reason: _Text
    request: _Text
    result: Literal["planned", "done", "refused", "failed", "unverified"]
    answer: _Text | None
    read_back: _Text | None
    verified: bool | None
    finished_ms: _Number | None


class SpoolFullError(OSError):
    """The spool takes no more; the message says what to do."""


class AuditSpool:
    """The file of the state with an id. Calls block, may come from any thread, and take turns."""

    def __init__(self, path: Path, state: str) -> None:
        self.path = path
        self._first_line = json.dumps({"state": state}).encode() + b"\n"
        self._turn = threading.Lock()
        self._size: int | None = None

    def append(self, actions: Sequence[SpooledAction]) -> None:
        """Add lines, durable when it returns. Raises OSError, SpoolFullError: then none of them counts."""
        lines = b"".join(action.model_dump_json().encode() + b"\n" for action in actions)
        with self._turn:
            descriptor = own_file(self.path, os.O_WRONLY | os.O_CREAT)
            try:
                size = there = os.fstat(descriptor).st_size
                if self._size is not None:
                    size = self._size if self._size <= there else 0  # somebody emptied or removed it: it begins anew
                if size == 0:
                    lines = self._first_line + lines
                if size + len(lines) > MOST_BYTES:
                    raise SpoolFullError(f"{self.path} has {size >> 20} MB and takes no more; mend the database")
                self._size = size
                os.ftruncate(descriptor, size)  # what a write that failed left
                _write(descriptor, lines, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if size == 0:
                sync_folder(self.path.parent)
            self._size = size + len(lines)

    def clear(self) -> None:
        """Remove it: everything is in the database. Raises OSError."""
        with self._turn:
            self.path.unlink(missing_ok=True)
            self._size = None
            sync_folder(self.path.parent)

    def read(self) -> list[SpooledAction]:
        """Its lines in order; what a kill left of the last one is none.

        Raises StateError where it is another state's or another line is damaged, OSError where it cannot be read.
        """
        try:
            descriptor = own_file(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise StateError(f"{self.path} is longer than {MOST_BYTES >> 20} MB, so it is no spool of the audit: move it away")
        lines, found = raw.split(b"\n"), list[SpooledAction]()
        for number, line in enumerate(lines[:-1], 1):
            try:
                if number == 1:
                    self._check_whose(line)
                else:
                    found.append(SpooledAction.model_validate_json(line))
            except (ValueError, TypeError, KeyError, RecursionError):
                if not any(lines[number:]):  # a power cut may leave its last line whole and filled with anything
                    break
                raise StateError(
                    f"{self.path}: line {number} is damaged. It holds actions that the database does not have yet: restore it "
                    "from a backup, or remove that line, and the audit lacks that action; or move the file away, and it lacks "
                    "all of them"
                ) from None
        return found

    def _check_whose(self, line: bytes) -> None:
        """Raises ValueError where a line is no first one, StateError where it is another state's."""
        if not isinstance(json.loads(line)["state"], str):
            raise ValueError("no state is named")
        if line + b"\n" != self._first_line:
            raise StateError(
                f"{self.path} is of another state, so its actions were not done here. Put it back there, or move it away"
            )

    def book(self, tx: Connection) -> int:
        """Write what it holds into the audit, each action once; how many. Raises as :meth:`read` does."""
        found = {action.key: action for action in self.read()}  # each as its last line
        # A plan is numbered when it is made and gets its line when it came to nothing, so lines alone are in no order.
        for action in sorted(found.values(), key=lambda action: int(action.key.rsplit(":")[-1])):
            values: dict[str, Any] = action.model_dump()
            write_action(tx, values.pop("site"), **values)
        return len(found)


def _write(descriptor: int, content: bytes, at: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, at)
        content, at = content[written:], at + written


def finish_cut_off(tx: Connection) -> None:
    """Finish actions that a kill cut off: nobody saw what came of them."""
    cut_off = tx.execute(sa.select(ACTIONS.c.id, ACTIONS.c.time_ms).where(sa.text("result = 'planned'"))).all()
    for row in cut_off:
        finish_action(
            tx,
            row.id,
            result="unverified",
            answer="the system stopped before an answer came",
            read_back=None,
            verified=None,
            finished_ms=row.time_ms,
        )
