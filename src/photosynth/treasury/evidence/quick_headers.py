"""Best headers as bytes of a line, all of one scale at once: who they are, and that they are of the jobs that they name."""

from binascii import hexlify, unhexlify
from collections.abc import Sequence
from hashlib import sha256

from photosynth.bitcoin.merkle import root_of_branch
from photosynth.treasury.evidence.coinbases import JobCoinbases, ReadCoinbase

HEADER_BYTES = 80
PLACES = {b",%d," % at: at for at in range(64)}
"""How a place in the list of jobs stands between a header and its extranonce."""


class HeaderRows:
    """Rows of header, job and extranonce, whose bytes are canonical and whose headers lead to the coinbases of their jobs."""

    __slots__ = ("hashes", "headers", "used")

    def __init__(self, headers: bytes, hashes: list[bytes], used: list[tuple[ReadCoinbase, Sequence[int]]]) -> None:
        self.headers = headers
        self.hashes = hashes
        self.used = used
        """The coinbase of each job, but for the extranonces, with the places of its rows."""

    @property
    def highest(self) -> int:
        """The highest hash as a number."""
        return int.from_bytes(max([name[::-1] for name in self.hashes]), "big")

    def by_parent(self) -> dict[bytes, list[bytes]]:
        """The hashes by the block that their headers stand on."""
        headers = self.headers
        parents = [headers[at : at + 32] for at in range(4, len(headers), HEADER_BYTES)]
        if parents.count(parents[0]) == len(parents):
            return {parents[0]: self.hashes}
        found: dict[bytes, list[bytes]] = {}
        for parent, name in zip(parents, self.hashes, strict=True):
            found.setdefault(parent, []).append(name)
        return found


def read_rows(raw: bytes, jobs: Sequence[JobCoinbases]) -> HeaderRows | None:
    """The rows of one scale, at least one; None where one of them is in any way not as it must be, or only perhaps is."""
    pieces = raw.split(b'"')
    count, left = divmod(len(pieces), 4)
    if left != 1 or pieces[0] != b"[[" or pieces[-1] != b"]]" or pieces[4:-1:4].count(b"],[") != count - 1:
        return None
    texts, places = pieces[1::4], pieces[2::4]
    if set(map(len, texts)) != {2 * HEADER_BYTES}:
        return None
    headers = _bytes_of(b"".join(texts))
    if headers is None:
        return None
    extranonces = pieces[3::4]
    used: list[tuple[ReadCoinbase, Sequence[int]]] = []
    for place in set(places):
        at = PLACES.get(place, len(jobs))
        if at >= len(jobs):
            return None
        rows = range(count) if places.count(place) == count else [n for n, other in enumerate(places) if other == place]
        known = _lead_to(jobs[at], headers, [extranonces[n] for n in rows], rows)
        if known is None:
            return None
        used.append((known, rows))
    hashes = [sha256(sha256(headers[at : at + HEADER_BYTES]).digest()).digest() for at in range(0, len(headers), HEADER_BYTES)]
    return HeaderRows(headers, hashes, used)


def _bytes_of(text: bytes) -> bytes | None:
    try:
        found = unhexlify(text)
    except ValueError:
        return None
    # Capitals are read too, but not written again.
    return found if hexlify(found) == text else None


def _lead_to(job: JobCoinbases, headers: bytes, texts: list[bytes], rows: Sequence[int]) -> ReadCoinbase | None:
    """The coinbase that these headers of one job share but for its extranonce; None where one has another, or none."""
    size = len(texts[0])
    cut = _bytes_of(b"".join(texts)) if size and set(map(len, texts)) == {size} else None
    if cut is None or size % 2:
        return None
    size //= 2
    known = job.shared(cut[:size])
    if known is None or not known.is_coinbase:
        return None
    prefix, suffix, branch = job.prefix, job.suffix, job.branch
    roots = [sha256(sha256(prefix + cut[at : at + size] + suffix).digest()).digest() for at in range(0, len(cut), size)]
    if branch:
        roots = [root_of_branch(root, branch) for root in roots]
    return known if roots == [headers[80 * at + 36 : 80 * at + 68] for at in rows] else None
