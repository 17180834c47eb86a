"""What the API needs of the proof: the lines of its export."""

from collections.abc import AsyncIterator
from typing import Protocol


class EvidencePort(Protocol):
    """The door through which the evidence leaves: the same bytes that `photosynth evidence export` writes."""

    def lines(self, stream: str | None = None) -> AsyncIterator[bytes]:
        """The lines of an export, of all streams or of one (named as its site), each without its line feed.

        Raises NotKnownError where there is no such stream.
        """
        ...
