"""What waits to be written to the share log, and how a batch of it gets its numbers and bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from photosynth.pool.records import FRAME, KIND_GROUP, KIND_REJECT, RejectRecord, ShareRecord, frame, packed_body, share_body
from photosynth.quantities.instants import interval_start_ms

MAX_REJECT_KEYS = 50_000
_NEVER_MS = 1 << 63

Done = Callable[[bool], None]
"""Told whether a share is durable."""
RejectKey = tuple[str, str, int, int]
"""Worker, cause, code, start of the quarter hour."""


@dataclass(slots=True)
class Batch:
    """Entries with their numbers, as bytes and as what is applied once these are durable; ``waiting`` counts the records."""

    data: bytes
    shares: list[tuple[ShareRecord, bytes, Done]]
    numbers: list[int]
    rejects: list[tuple[int, RejectRecord]]
    reject_keys: list[RejectKey]
    waiting: int
    new_groups: list[tuple[str, int, int, int]]
    last_seq: int


class Queue:
    """Shares, refused shares and other records in front of one segment. Only shares are ever given up."""

    def __init__(self) -> None:
        self.shares: list[tuple[ShareRecord, bytes, Done]] = []
        self.records: list[bytes] = []
        self.rejects: dict[RejectKey, int] = {}
        # A restart continues the segment and tells its groups anew; what is told last holds.
        self._groups: dict[tuple[str, int, int, int], int] = {}

    def __bool__(self) -> bool:
        return bool(self.shares or self.records or self.rejects)

    def reject(self, worker: str, cause: str, code: int, site_ms: int) -> None:
        """Count a refused share."""
        key = (worker, cause, code, interval_start_ms(site_ms))
        if key in self.rejects or len(self.rejects) < MAX_REJECT_KEYS:
            self.rejects[key] = self.rejects.get(key, 0) + 1

    def rejects_are_older(self) -> bool:
        """Whether something was refused in a quarter hour before the one that the waiting shares reach into."""
        oldest = next(iter(self.rejects), None)  # they stand in the order of their quarter hours
        return oldest is not None and bool(self.shares) and oldest[3] < interval_start_ms(self.shares[-1][0].site_ms)

    def gather(self, seq: int, *, with_rejects: bool) -> Batch | None:
        """All that waits, numbered after ``seq``; None where it is nothing. Its shares wait no longer."""
        if not (self.shares or self.records or (self.rejects and with_rejects)):
            return None
        parts = list(self.records)
        batch = Batch(b"", self.shares, [], [], [], len(parts), [], seq)
        # Numbers follow site time, so that no entry of a quarter hour lies behind one of the next: refused shares of one
        # go before the accepted shares from its start on.
        rejects = sorted(self.rejects, key=_interval_of_reject) if with_rejects else []
        late = [key for key in rejects if self.shares and key[3] > interval_start_ms(self.shares[0][0].site_ms)]
        for key in rejects[: len(rejects) - len(late)]:
            seq = self._gather_reject(batch, parts, key, seq)
        next_ms = late[0][3] if late else _NEVER_MS
        groups, numbers = self._groups, batch.numbers
        for share, _, _ in self.shares:
            while share.site_ms >= next_ms:
                seq = self._gather_reject(batch, parts, late.pop(0), seq)
                next_ms = late[0][3] if late else _NEVER_MS
            group_key = (share.worker, share.round, share.target, share.scale)
            group = groups.get(group_key)
            if group is None:
                group = groups[group_key] = len(groups)
                batch.new_groups.append(group_key)
                parts.append(frame(packed_body(KIND_GROUP, group, *group_key)))
            seq += 1
            body = share_body(seq, share, group)
            parts += (FRAME.pack(len(body), crc32(body)), body)
            numbers.append(seq)
        for key in late:
            seq = self._gather_reject(batch, parts, key, seq)
        self.shares = []
        batch.last_seq = seq
        batch.data = b"".join(parts)
        return batch

    def _gather_reject(self, batch: Batch, parts: list[bytes], key: RejectKey, seq: int) -> int:
        worker, cause, code, site_ms = key
        reject = RejectRecord(worker, cause, code, self.rejects[key], site_ms)
        parts.append(frame(packed_body(KIND_REJECT, seq + 1, reject)))
        batch.rejects.append((seq + 1, reject))
        batch.reject_keys.append(key)
        return seq + 1

    def written(self, batch: Batch) -> None:
        """A batch is durable: its records and refused shares wait no longer."""
        del self.records[: batch.waiting]
        for key, (_, reject) in zip(batch.reject_keys, batch.rejects, strict=True):
            left = self.rejects[key] - reject.count
            if left:
                self.rejects[key] = left
            else:
                del self.rejects[key]

    def take_back(self, batch: Batch) -> None:
        """A batch could not be written: its shares are given up, the rest goes on waiting."""
        for key in batch.new_groups:
            del self._groups[key]
        for _, _, done in batch.shares:
            done(False)

    def new_segment(self) -> None:
        """What follows stands in another file, which knows no groups yet."""
        self._groups.clear()


def _interval_of_reject(key: RejectKey) -> int:
    return key[3]
