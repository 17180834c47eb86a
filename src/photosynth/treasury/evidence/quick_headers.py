"""Best headers as bytes of a line, all of one scale at once: who they are, and that they are of the jobs that they name."""

from binascii import unhexlify
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct

from photosynth.bitcoin.merkle import root_of_branch
from photosynth.treasury.evidence.body import BEST_HEADERS
from photosynth.treasury.evidence.coinbases import JobCoinbases, ReadCoinbase

HEADER_BYTES = 80
PLACES = {b",%d," % at: at for at in range(64)}
"""How a place in the list of jobs stands between a header and its extranonce."""
LONGEST_COINBASE = 16 * 1024
"""Longer ones, in bytes, are put together one by one, in the careful way."""


class HeaderRows:
    """Rows of header, job and extranonce, whose bytes are canonical and whose headers lead to the coinbases of their jobs."""

    __slots__ = ("hashes", "parents", "used")

    def __init__(
        self, parents: tuple[bytes, ...], hashes: list[bytes], used: list[tuple[JobCoinbases, ReadCoinbase, tuple[bytes, ...]]]
    ) -> None:
        self.parents = parents
        """The block that each header stands on."""
        self.hashes = hashes
        self.used = used
        """Each job, its coinbase but for the extranonces, and the blocks that its headers stand on."""

    @property
    def highest(self) -> int:
        """The highest hash as a number."""
        hashes = self.hashes
        # Backwards, the last byte is the first, as in a number.
        return int.from_bytes(max(_cutter("32s", len(hashes))(b"".join(hashes)[::-1])), "big")

    def by_parent(self) -> dict[bytes, list[bytes]]:
        """The hashes by the block that their headers stand on."""
        parents = self.parents
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
    texts, places, extranonces = pieces[1::4], pieces[2::4], pieces[3::4]
    if count > BEST_HEADERS or set(map(len, texts)) != {2 * HEADER_BYTES}:
        return None
    headers = _bytes_of(b"".join(texts))
    if headers is None:
        return None
    fields = _cutter("4x32s32s12x", count)(headers)
    parents, roots = fields[::2], fields[1::2]
    used: list[tuple[JobCoinbases, ReadCoinbase, tuple[bytes, ...]]] = []
    one = places.count(places[0]) == count
    for place in places[:1] if one else set(places):
        at = PLACES.get(place, len(jobs))
        if at >= len(jobs):
            return None
        if one:
            known, stand_on = _lead_to(jobs[at], roots, extranonces), parents
        else:
            rows = [n for n, other in enumerate(places) if other == place]
            known = _lead_to(jobs[at], tuple([roots[n] for n in rows]), [extranonces[n] for n in rows])
            stand_on = tuple([parents[n] for n in rows])
        if known is None:
            return None
        used.append((jobs[at], known, stand_on))
    hashes = [sha256(sha256(header).digest()).digest() for header in _cutter("80s", count)(headers)]
    return HeaderRows(parents, hashes, used)


def _bytes_of(text: bytes) -> bytes | None:
    try:
        found = unhexlify(text)
    except ValueError:
        return None
    # Capitals are read too, but not written again. To look for each is four times as fast as to write.
    if b"A" in text or b"B" in text or b"C" in text or b"D" in text or b"E" in text or b"F" in text:
        return None
    return found


@lru_cache(maxsize=1024)
def _cutter(fields: str, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """What cuts bytes into so many times these fields, all of them at once."""
    return Struct(fields * count).unpack


def _lead_to(job: JobCoinbases, roots: tuple[bytes, ...], texts: list[bytes]) -> ReadCoinbase | None:
    """The coinbase that headers of one job with these roots share but for its extranonce; None where one has another, or none."""
    size = len(texts[0])
    prefix, suffix, branch = job.prefix, job.suffix, job.branch
    cut = _bytes_of(b"".join(texts)) if size and set(map(len, texts)) == {size} else None
    size //= 2
    whole = len(prefix) + size + len(suffix)
    if cut is None or len(cut) != size * len(texts) or whole > LONGEST_COINBASE:
        return None
    known = job.shared(cut[:size])
    if known is None or not known.is_coinbase:
        return None
    extranonces = _cutter(f"{size}s", len(texts))(cut)
    coinbases = _cutter(f"{whole}s", len(texts))(prefix + (suffix + prefix).join(extranonces) + suffix)
    found = [sha256(sha256(coinbase).digest()).digest() for coinbase in coinbases]
    if branch:
        found = [root_of_branch(name, branch) for name in found]
    return known if tuple(found) == roots else None
