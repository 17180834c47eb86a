"""Work that no block has paid for good yet, kept in pieces between the cuts of jobs, and folded as it grows old.

The payout scheme: a block of ours pays every share up to its job's cut that no block of ours below it on its own branch
pays. So what a block pays depends on its ancestors alone, which its header names for ever: a reorganisation changes which
blocks are in the chain, and nothing else. Nothing expires; what waits long is remembered by the day instead of by the
quarter hour and height, and in the end in one row a worker, and one for all whose work is least, so that the number of rows
has a bound.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from photosynth.pool.results import Attribution
from photosynth.quantities.instants import INTERVAL_MS

DAY_MS = 96 * INTERVAL_MS
FINE_ROWS = 25_000
"""Rows by quarter hour and height: a day of a hundred machines, with a block every ten minutes. Older ones become days."""
DAY_ROWS = 25_000
"""Rows by day: eight months of a hundred machines. Older ones become one row a worker."""
WORKER_ROWS = 25_000
"""Rows of one worker for all days before. Beyond so many names, those with the least work in them become one row a scale."""
MANY_ROWS = 200_000
"""Past so many rows, blocks of ours are taken as final as soon as :data:`SOON_FINAL` others stand on them."""
FINAL = 100
"""A block with so many on top is paid for good: its coins may be spent (Bitcoin Core, ``COINBASE_MATURITY``)."""
SOON_FINAL = 6
FOLDED = 0
"""The round of a row that holds work of several. No block has this height but the genesis block, which nobody mines."""

OTHERS = "(others)"
"""Workers that are remembered together. No worker can have this name: none begins with a bracket."""

Key = tuple[int, int, str, int]
"""Start in milliseconds, round, worker, scale. A folded row starts with its UTC day, or at zero for all days before."""
WORK_BITS = 64
Rows = dict[Key, int]
"""Work in hashes, shifted left by 64 bits, plus the number of shares: one integer, so that sums need no object of their own
(a hundred thousand lists would hold up the loop whenever Python looks for garbage). Represented hashes are work x scale."""


@dataclass(slots=True)
class Piece:
    """The rows of the shares from ``start`` (a sequence number) up to the next piece. All but the last never change."""

    start: int
    rows: Rows = field(default_factory=dict)
    _represented: int | None = None

    def represented(self) -> int:
        """Represented hashes of a piece that does not change any more."""
        if self._represented is None:
            self._represented = _represented(self.rows)
        return self._represented


class Unclaimed:
    """The pieces in order. ``rows`` are those of the last one, which takes new shares; ``floor`` was paid for good."""

    def __init__(self, pieces: Iterable[Piece] = (), floor: int = 0) -> None:
        self.floor = floor
        self._pieces = list(pieces)
        last = self._pieces[-1].start if self._pieces else floor + 1
        if not self._pieces or self._pieces[-1].rows:
            # What was read from a snapshot is whole and must not change under one that is written.
            self._pieces.append(Piece(last))
        self.rows = self._pieces[-1].rows

    def __len__(self) -> int:
        return len(self._pieces)

    def cut(self, cut: int) -> None:
        """Keep the shares up to this sequence number apart from those after it."""
        last = self._pieces[-1]
        if last.start > cut:
            return
        if last.rows:
            self._pieces.append(Piece(cut + 1))
            self.rows = self._pieces[-1].rows
        else:
            last.start = cut + 1

    def between(self, base: int, cut: int) -> list[Piece]:
        """The pieces past one cut, up to another one; none of them changes once the second was cut."""
        return [piece for piece in self._pieces if base < piece.start <= cut]

    def represented_after(self, base: int) -> int:
        """Represented hashes past a cut."""
        settled = sum(piece.represented() for piece in self._pieces[:-1] if piece.start > base)
        return settled + _represented(self.rows)

    def sealed(self) -> tuple[Piece, ...]:
        """All pieces but the last: a frozen view that another thread may read. Call :meth:`cut` before."""
        return tuple(self._pieces[:-1])

    def adopt(self, tidied: Sequence[Piece], sealed: Sequence[Piece], floor: int) -> None:
        """Take what became of the sealed pieces, and let go what is paid for good."""
        self.floor = max(self.floor, floor)
        newer = self._pieces[len(sealed) :]
        self._pieces = [piece for piece in tidied if piece.start > self.floor] + newer


def attribute_work(pieces: Iterable[Piece]) -> tuple[Attribution, ...]:
    """Whose work pieces hold, in the order of quarter hour, round, worker, scale."""
    return tuple(
        sorted(
            Attribution(*key, held & ((1 << WORK_BITS) - 1), held >> WORK_BITS, (held >> WORK_BITS) * key[3])
            for key, held in _merged(pieces).items()
        )
    )


def tidy(
    pieces: Sequence[Piece],
    needed: set[int],
    floor: int,
    closed_before_ms: int,
    *,
    fine_rows: int = FINE_ROWS,
    day_rows: int = DAY_ROWS,
    worker_rows: int = WORKER_ROWS,
) -> list[Piece]:
    """The same work in fewer rows: pieces of cuts that nobody needs are joined, old rows folded, paid ones left out.

    Rows of quarter hours from ``closed_before_ms`` on, which are not in the books yet, stay as they are. Pieces that do
    not change are the same objects as before; none is changed in place.
    """
    starts = [piece.start for piece in pieces]
    # A cut that only refused shares part from the next one has its border there.
    apart = {starts[at] for cut in needed if (at := bisect_right(starts, cut)) < len(starts)}
    kept: list[list[Piece]] = []
    for piece in pieces:
        if piece.start <= floor:
            continue
        if kept and piece.start not in apart:
            kept[-1].append(piece)
        else:
            kept.append([piece])
    joined = [group[0] if len(group) == 1 else Piece(group[0].start, _merged(group)) for group in kept]
    fine: Counter[int] = Counter()
    days: Counter[int] = Counter()
    for piece in joined:
        for start_ms, round_, _, _ in piece.rows:
            (days if round_ == FOLDED else fine)[start_ms] += 1
    fold_ms = min(_oldest_kept(fine, fine_rows), closed_before_ms)
    if any(start_ms < fold_ms for start_ms in fine):
        joined = [_folded_to_days(piece, fold_ms) for piece in joined]
        days = Counter(key[0] for piece in joined for key in piece.rows if key[1] == FOLDED)
    del days[0]
    before_ms = min(_oldest_kept(days, day_rows), _day(closed_before_ms))
    if any(start_ms < before_ms for start_ms in days):
        joined = [_folded_to_one(piece, before_ms) for piece in joined]
    return _without_small(joined, worker_rows)


def count_rows(pieces: Iterable[Piece]) -> int:
    """Rows in all."""
    return sum(len(piece.rows) for piece in pieces)


def _oldest_kept(rows: Counter[int], most: int) -> int:
    """The oldest start such that so many rows at most lie from there on."""
    oldest = 1 << 62
    for start_ms in sorted(rows, reverse=True):
        most -= rows[start_ms]
        if most < 0:
            return oldest
        oldest = start_ms
    return 0


def _folded_to_days(piece: Piece, before_ms: int) -> Piece:
    if not any(key[1] != FOLDED and key[0] < before_ms for key in piece.rows):
        return piece
    rows: Rows = {}
    for key, held in piece.rows.items():
        start_ms, round_, worker, scale = key
        into = key if round_ == FOLDED or start_ms >= before_ms else (_day(start_ms), FOLDED, worker, scale)
        rows[into] = rows.get(into, 0) + held
    return Piece(piece.start, rows)


def _folded_to_one(piece: Piece, before_ms: int) -> Piece:
    if not any(key[1] == FOLDED and 0 < key[0] < before_ms for key in piece.rows):
        return piece
    rows: Rows = {}
    for key, held in piece.rows.items():
        start_ms, round_, worker, scale = key
        into = (0, FOLDED, worker, scale) if round_ == FOLDED and start_ms < before_ms else key
        rows[into] = rows.get(into, 0) + held
    return Piece(piece.start, rows)


def _without_small(pieces: list[Piece], most: int) -> list[Piece]:
    """Workers beyond so many who have the least work in all days before, taken together there."""
    work: Counter[tuple[str, int]] = Counter()
    for piece in pieces:
        for (start_ms, round_, worker, scale), held in piece.rows.items():
            if start_ms == 0 and round_ == FOLDED and worker != OTHERS:
                work[worker, scale] += (held >> WORK_BITS) * scale
    if len(work) <= most:
        return pieces
    small = set(sorted(work, key=lambda who: (-work[who], who))[most:])
    return [_folded_to_others(piece, small) for piece in pieces]


def _folded_to_others(piece: Piece, small: set[tuple[str, int]]) -> Piece:
    rows: Rows = {}
    for key, held in piece.rows.items():
        start_ms, round_, worker, scale = key
        into = (0, FOLDED, OTHERS, scale) if start_ms == 0 and round_ == FOLDED and (worker, scale) in small else key
        rows[into] = rows.get(into, 0) + held
    return Piece(piece.start, rows)


def _merged(pieces: Iterable[Piece]) -> Rows:
    rows: Rows = {}
    for piece in pieces:
        for key, held in piece.rows.items():
            rows[key] = rows.get(key, 0) + held
    return rows


def _represented(rows: Rows) -> int:
    return sum((held >> WORK_BITS) * key[3] for key, held in rows.items())


def _day(instant_ms: int) -> int:
    return instant_ms - instant_ms % DAY_MS
