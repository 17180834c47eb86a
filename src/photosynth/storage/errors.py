"""What can go wrong with a database itself, as sentences that say what to do."""

from typing import Literal

from photosynth.storage.address import Place

Kind = Literal["full", "corrupt", "read_only", "busy", "newer", "older", "unavailable"]


class StorageError(Exception):
    """The state's database cannot serve: ``kind`` says why, the message says what to do.

    ``full``, ``busy`` and ``unavailable`` may pass: the same call may be made again. ``undecided`` is true where the
    connection broke while it committed: the transaction was written as a whole or not at all, and which is not known here.
    """

    def __init__(self, kind: Kind, place: Place, text: str, *, undecided: bool = False) -> None:
        super().__init__(f"{place}: {text}")
        self.kind = kind
        self.place = place
        self.undecided = undecided


class DamagedAmountError(ValueError):
    """A database holds something else than an integer in place of an amount."""

    def __init__(self, stored: object) -> None:
        super().__init__(f"it holds {str(stored)[:60]!r} in place of an amount")
