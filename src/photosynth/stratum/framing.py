"""Lines: Stratum V1 is JSON texts, each ended by a line feed, on a plain byte stream.

What arrives is hostile: a line has a greatest length, and what was buffered is never more than that.
"""

MAX_LINE = 16 * 1024
"""Bytes of the longest line taken from a peer. A notify with 14 branch hashes and a 6.5 kB coinbase needs 15 kB."""


class LineTooLongError(ValueError):
    """A peer sent more bytes without a line feed than a line may have; the connection is of no more use."""


class LineBuffer:
    """Cuts a byte stream into lines, whatever the pieces that it arrives in; empty lines are left out."""

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their ends. Raises LineTooLongError past the limit.

        The caller bounds ``data`` by the size of its reads.
        """
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(lines) == 1 and 1 < len(data) <= self._limit and not data[0] <= 0x20:
            return lines  # nearly always: one whole line came
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            self._rest = b""
            raise LineTooLongError(f"a line has at most {self._limit} bytes")
        return [line for line in lines if line and not line.isspace()]

    @property
    def buffered(self) -> int:
        """Bytes of the line that has not ended yet."""
        return len(self._rest)
