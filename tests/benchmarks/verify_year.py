"""How long `photosynth verify` takes for a year of quarter hours: `python tests/benchmarks/verify_year.py [records [branch]]`.

The file is made once and kept in the temporary folder: one site and the fleet's books, 35,040 quarter hours of 12 kB with a
signed line each, and one for every sixteen in the books' stream, which writes down four hours' postings together. In each quarter
hour stand five meters, the postings of its energy, four workers with 40 shares that were really hashed
at a toy target, and 32 best headers of one job, which are more than half of it. The chain grows by one block in each, and
every third is the site's: it stands there with its four rows of attribution, is accrued, and is made available when it is 100
blocks deep. The demonstration's own quarter hours are longer (16 kB): it has two dozen machines and finds a block in almost
each. ``branch`` is how many hashes stand in each Merkle branch: none on a chain without other transactions, ten to twelve on
mainnet. CPU seconds of one process; the limit is 10 for a year of one site and its books. The site's stream alone is verified
first. Memory is the peak of that process.
"""

import gc
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.unit.treasury.treasury_site import COIN, FLEET, METERS, PRICES, SCRIPT, SITE, START_MS

from photosynth.bitcoin.coinbase import build_coinbase
from photosynth.bitcoin.merkle import merkle_root, root_of_branch
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.target import REGTEST_BITS
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.quantities.value import coins_value_ueur
from photosynth.quantities.work import TWO_256
from photosynth.treasury import Identity, verify
from photosynth.treasury.evidence import body as bodies
from photosynth.treasury.evidence.books_body import books_data, postings_data
from photosynth.treasury.evidence.envelope import BOOKS, body_of
from photosynth.treasury.evidence.heads import Commitment, branch_of, root_of_heads
from photosynth.treasury.evidence.seal import NO_HASH
from photosynth.treasury.facts import AttributionFact, BestFact, IntervalFacts, JobFact, MeterFact, WorkFact
from photosynth.treasury.journal import Posting, PostingLine, StoredPosting
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.attribution import attribute, claim_sat
from photosynth.treasury.mining.blocks import AttributedShare, BlockRow
from photosynth.treasury.mining.rewards import accrual_lines, available_lines

YEAR = 35_040
WORKERS = ("hall-a-01", "hall-a-02", "hall-b-01", "hall-b-02")
SHARES = 10
SCALE = 10**18
SHARE_TARGET = TWO_256 // 3 - 1
BLOCK_TARGET = TWO_256 // 8 - 1
MATURITY = 100
OURS_EVERY = 3
"""Every so many blocks of the chain, one is the site's."""
BOOKS_EVERY = 16
"""So many quarter hours have their postings in one line of the books."""
FORMAT = 6


def double(data: bytes) -> bytes:
    """SHA-256 of SHA-256."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


class Year:
    """A site that mines and writes its evidence as fast as bytes can be put together; no database."""

    def __init__(self, branch: int) -> None:
        self.identity = Identity.from_seed(b"\x01" * 32)
        self.branch = tuple(double(bytes([n])) for n in range(branch))
        self.tip, self.height, self.extranonce = SITE.genesis_hash, 0, 0
        self.registers = dict.fromkeys(METERS, 10**7)
        self.postings = 0
        self.heads: dict[str, bytes] = {}
        self.seqs: dict[str, int] = {}
        self.immature: list[tuple[BlockRow, tuple[PostingLine, ...]]] = []

    def lines(self, records: int) -> Iterator[bytes]:
        """The lines of a file of so many quarter hours."""
        key = self.identity.public_key
        yield self.line(BOOKS, "books", books_data(FLEET, key, "nothing"))
        yield self.line(SITE.site, "site", bodies.site_data(SITE, key, "nothing"))
        posted: list[StoredPosting] = []
        for n in range(1, records + 1):
            quarter_hour, postings = self.record(n, START_MS + (n - 1) * INTERVAL_MS)
            yield self.line(SITE.site, "quarter_hour", quarter_hour)
            posted += postings
            if n % BOOKS_EVERY == 0 or n == records:
                yield self.line(BOOKS, "postings", postings_data([], posted))
                posted = []
        for stream in (SITE.site, BOOKS):
            yield self.line(stream, "end", bodies.end_data([]))

    def line(self, stream: str, kind: str, data: dict[str, Any]) -> bytes:
        """A line at the end of its stream."""
        seq, previous = self.seqs.get(stream, -1) + 1, self.heads.get(stream, NO_HASH)
        sealed = self.identity.seal(body_of(stream, seq, kind, previous, data))
        self.seqs[stream], self.heads[stream] = seq, sealed.hash
        return sealed.text()

    def record(self, seq: int, start_ms: int) -> tuple[dict[str, Any], list[StoredPosting]]:
        """One quarter hour: its energy, its work, a block, and what is posted of them."""
        head = root_of_heads(self.heads)
        commitment = Commitment(self.seqs[SITE.site], *branch_of(self.heads, SITE.site))
        joules = (
            (20_000_000, 36_000_000, 0, 30_000_000, 25_500_000) if seq % 2 else (90_000_000, 0, 3_000_000, 30_000_000, 56_600_000)
        )
        meters = []
        for name, used in zip(METERS, joules, strict=True):
            meters.append(MeterFact(name, self.registers[name], self.registers[name] + used, "good"))
            self.registers[name] += used
        self.height += 1
        parts = build_coinbase(self.height, [(1234, SCRIPT)], b"", head, 8)
        job = JobFact(parts.prefix, parts.suffix, self.branch)
        work, found = [], []
        for worker in WORKERS:
            shares = [self.share(parts.prefix, parts.suffix, SHARE_TARGET) for _ in range(SHARES)]
            root = merkle_root([hashed for hashed, _, _ in shares])
            work.append(WorkFact(worker, "operator", self.height, SHARE_TARGET, SCALE, SHARES, root))
            found += shares
        found.sort(key=lambda share: share[0][::-1])
        facts = IntervalFacts(
            start_ms=start_ms,
            wall_start_ms=start_ms,
            wall_end_ms=start_ms + INTERVAL_MS,
            speed_milli=1000,
            meters=tuple(meters),
            prices=PRICES,
            coin=COIN,
            work=tuple(work),
            best=tuple(BestFact(SCALE, header, "job", extranonce) for _, header, extranonce in found[:32]),
            jobs={"job": job},
            curtailed_estimate_j=1000,
        )
        members, posted = [], []
        if self.height % OURS_EVERY:
            self.tip = double(self.tip)
        else:
            block, shares_of = self.block(start_ms, head, work)
            members, posted = [bodies.block_member(block, shares_of, commitment)], self.coins(block, start_ms)
        energies = energy.energies(SITE.meters, facts.meters)
        limits = {"export_limit_w": SITE.export_limit_w, "duration_s": INTERVAL_S}
        at = energy.Occasion(SITE.site, energy.interval_key(SITE.site, start_ms), start_ms, facts.wall_end_ms)
        posted += energy.interval_postings(at, energies, PRICES, **limits)  # type: ignore[arg-type]
        stored = [StoredPosting(self.postings + n, posting) for n, posting in enumerate(posted, 1)]
        self.postings += len(stored)
        quarter_hour = bodies.quarter_hour_data(facts, energies, blocks=members, commitments={"job": commitment})
        return quarter_hour, stored

    def share(self, prefix: bytes, suffix: bytes, target: int) -> tuple[bytes, bytes, bytes]:
        """Hash until a header meets a target: its hash, its 80 bytes, its extranonce."""
        self.extranonce += 1
        extranonce = self.extranonce.to_bytes(8, "big")
        root = root_of_branch(double(prefix + extranonce + suffix), self.branch)
        head = (0x20000000).to_bytes(4, "little") + self.tip + root + (1_800_000_000).to_bytes(4, "little")
        head += REGTEST_BITS.to_bytes(4, "little")
        nonce = 0
        while int.from_bytes(hashed := double(header := head + nonce.to_bytes(4, "little")), "little") > target:
            nonce += 1
        return hashed, header, extranonce

    def block(self, start_ms: int, head: bytes, work: list[WorkFact]) -> tuple[BlockRow, list[AttributedShare]]:
        """A block that claims the quarter hour's work."""
        facts = [
            AttributionFact(start_ms, w.round, w.worker, w.scale, w.accepted, w.work, w.represented, party=w.party) for w in work
        ]
        value = claim_sat(sum(fact.represented for fact in facts), COIN.reward_sat, COIN.mainnet_work)
        parts = build_coinbase(self.height, [(value, SCRIPT)], b"", head, 8)
        self.tip, header, extranonce = self.share(parts.prefix, parts.suffix, BLOCK_TARGET)
        coinbase = parts.with_extranonce(extranonce)
        row = BlockRow(
            chain=SITE.chain,
            site=SITE.site,
            time_s=1_800_000_000,
            hash=self.tip,
            height=self.height,
            txid=double(coinbase),
            header=header,
            coinbase=coinbase,
            branch=self.branch,
            value_sat=value,
            commitment=head,
            state="immature",
            occurrence=1,
            origin="mined",
            worker=WORKERS[0],
            target=BLOCK_TARGET,
            site_ms=start_ms,
            wall_ms=start_ms,
            price_cent_per_btc=COIN.price_cent_per_btc,
            price_source=COIN.source,
            price_as_of_ms=COIN.as_of_ms,
            value_ueur=coins_value_ueur(value, COIN.price_cent_per_btc),
            mainnet_target=COIN.mainnet_target,
            reward_sat=COIN.reward_sat,
            evidence_seq=None,
            books_seq=None,
        )
        return row, [AttributedShare(fact, sat) for fact, sat in attribute(value, facts)]

    def coins(self, block: BlockRow, start_ms: int) -> list[Posting]:
        """The accrual of a block, and of the one that matures with it."""
        assert block.value_ueur is not None
        lines = accrual_lines(block.value_sat, block.value_ueur, "at_maturity")
        self.immature.append((block, lines))
        made = [self.coin_posting(block, "coinbase_accrued", start_ms, lines)]
        if self.immature[0][0].height + MATURITY <= self.height:
            ripe, accrued = self.immature.pop(0)
            made.append(self.coin_posting(ripe, "coinbase_available", start_ms, available_lines(accrued)))
        return made

    def coin_posting(self, block: BlockRow, event: str, start_ms: int, lines: tuple[PostingLine, ...]) -> Posting:
        """A posting of a block's coins."""
        name = hash_text(block.hash)
        source: dict[str, str | int | None] = {
            "block": name,
            "height": block.height,
            "price_cent_per_btc": block.price_cent_per_btc,
            "price_source": block.price_source,
            "price_as_of_ms": block.price_as_of_ms,
        }
        key = f"regtest:{name}:{event}:1"
        return Posting(key, start_ms, start_ms, event, f"{event} of block {block.height}", lines, source)


def made(records: int, branch: int) -> Path:
    """The file, from the temporary folder or made now."""
    path = Path(tempfile.gettempdir()) / f"photosynth-evidence-{FORMAT}-{records}-{branch}.jsonl"
    if not path.exists():
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            for line in Year(branch).lines(records):
                file.write(line + b"\n")
        new.replace(path)
    return path


def site_alone(whole: Path) -> Path:
    """The site's stream of a file, as an export of one site has it."""
    path = whole.with_suffix(".site.jsonl")
    if not path.exists():
        new = path.with_suffix(".new")
        with whole.open("rb") as lines, new.open("wb") as file:
            file.writelines(line for line in lines if b'"stream":"books","version":2}' not in line)
        new.replace(path)
    return path


def measure(path: Path, what: str) -> None:
    """Print CPU seconds and seconds of one verification."""
    began, cpu = time.perf_counter(), time.process_time()
    report = verify(path)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    assert report.holds, report.reason
    print(f"{what}: {cpu:.1f} CPU s, {wall:.1f} s, {path.stat().st_size / 1e6:.0f} MB")


def main() -> None:
    """Print what a verification of the site's stream takes, and one of it with the books."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else YEAR
    branch = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    path = made(records, branch)
    gc.disable()  # as the command does
    print(f"{records} quarter hours, Merkle branches of {branch}")
    measure(site_alone(path), "one site alone")
    measure(path, "the site and the books (limit 10)")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
