"""What the API needs of the proof: the lines of its export."""

from collections.abc import AsyncIterator
from typing import Protocol


class EvidencePort(Protocol):
    """The door through which the evidence leaves: the same bytes that `photosynth evidence export` writes."""

    def lines(self) -> AsyncIterator[bytes]:
        """The lines of an export, header first and closing line last, each without its line feed."""
        ...
