"""Records taken at once: what is taken so, the careful way takes too and remembers the same; nothing else leaves a trace."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photosynth.treasury.evidence.quick_coins import accrual_rows, available_rows
from photosynth.treasury.evidence.quick_record import QuickRecords, Taken
from tests.unit.treasury.treasury_site import SITE

from photosynth.quantities.balance import Energies, allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury import Identity, energy
from photosynth.treasury.evidence.body import posting_member, price_member
from photosynth.treasury.evidence.canonical import CanonicalError, canonical
from photosynth.treasury.evidence.check_claims import shared
from photosynth.treasury.evidence.check_postings import JournalState
from photosynth.treasury.evidence.findings import totals
from photosynth.treasury.evidence.quick_energy import expected_postings
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.seal import NO_HASH, SealError, split_line
from photosynth.treasury.evidence.seen import SeenHeaders
from photosynth.treasury.evidence.typed import Prices, Record, read_coin_posting, read_record
from photosynth.treasury.evidence.verify import Verifier
from photosynth.treasury.facts import PriceFact, Recognition, SiteFacts
from photosynth.treasury.journal import PostingLine, StoredPosting
from photosynth.treasury.rewards import accrual_lines, available_lines

LINES = (Path(__file__).parent / "golden_evidence.jsonl").read_bytes().splitlines(keepends=True)
BODIES = [json.loads(split_line(line[:-1]).body) for line in LINES]
IDENTITY = Identity.from_seed(b"\x01" * 32)
WRONG: list[Any] = [None, True, 0, 1, -1, 2**53, str(2**53 + 1), "", "00", "x", "AA" * 32, "é", "\U0001f600", '"', [], [[]], {}]


class Never(QuickRecords):
    """Leaves every record to the careful way."""

    def take(self, record: Record, site: SiteFacts, seq: int) -> Taken | None:
        del record, site, seq
        return None


class Counted(QuickRecords):
    """Counts what is taken at once."""

    taken = 0

    def take(self, record: Record, site: SiteFacts, seq: int) -> Taken | None:
        found = super().take(record, site, seq)
        self.taken += found is not None
        return found


def judged(lines: list[bytes], way: type[QuickRecords]) -> tuple[Verifier, str | None]:
    """What a verifier remembers of some lines, and the words in which one of them is refused."""
    verifier = Verifier()
    verifier.quick = way(verifier.energy, verifier.work, verifier.blocks, verifier.journal)
    try:
        for line in lines:
            verifier.take(line)
    except (EvidenceError, SealError, CanonicalError, ValueError, ArithmeticError) as error:
        return verifier, repr(error)
    return verifier, None


def remembered(verifier: Verifier) -> list[Any]:
    """Everything, but for the keys of postings, which are kept in two ways."""
    journal = {name: getattr(verifier.journal, name) for name in JournalState.__slots__ if name not in {"keys", "intervals"}}
    counts = (verifier.records, verifier.workless, verifier.workless_j, verifier.next_seq, verifier.head)
    starts = (verifier.first_start_ms, verifier.last_start_ms, verifier.current_start_ms)
    return [verifier.energy, verifier.work, verifier.blocks, journal, counts, starts]


def both(lines: list[bytes], keys: list[str]) -> int:
    """Two verifiers, with the quick way and without, say and remember the same; returns how many records went quickly."""
    quick, said = judged(lines, Counted)
    careful, wanted = judged(lines, Never)
    assert said == wanted
    if said is None:
        assert remembered(quick) == remembered(careful)
        assert totals(quick) == totals(careful)
        assert [quick.journal.has(key) for key in keys] == [careful.journal.has(key) for key in keys]
    return cast(Counted, quick.quick).taken


def sealed(bodies: list[Any]) -> list[bytes]:
    previous, lines = NO_HASH, []
    for body in bodies:
        line = IDENTITY.seal(previous, canonical(body))
        previous = line.hash
        lines.append(line.text() + b"\n")
    return lines


def keys_of(bodies: list[Any]) -> list[str]:
    return [posting["key"] for body in bodies for posting in body.get("postings", [])]


def test_a_sound_record_goes_the_quick_way() -> None:
    strange = ["interval:1:energy", "interval:x:energy", "interval:" + "9" * 400 + ":energy", "interval", "", "interval::"]
    known = keys_of(BODIES)
    assert both(LINES, known + [f"{key}x" for key in known] + strange) == 1
    assert all(judged(LINES, QuickRecords)[0].journal.has(key) for key in known)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in steps:
        yield from places(part, (*path, step))


PLACES = [path for path in places(BODIES[2]) if path]


def put(body: Any, path: tuple[Any, ...], change: tuple[str, Any]) -> None:
    """Change one place of a body, where it is still there."""
    for step in path[:-1]:
        if (
            not isinstance(body, dict | list)
            or (isinstance(body, list) and step >= len(body))
            or step not in (body if isinstance(body, dict) else range(len(body)))
        ):
            return
        body = body[step]
    at = path[-1]
    there = at in body if isinstance(body, dict) else isinstance(body, list) and at < len(body)
    if not there:
        return
    kind, value = change
    if kind == "wrong":
        body[at] = value
    elif kind == "off" and type(body[at]) is int:
        body[at] += value
    elif kind == "off" and type(body[at]) is str and body[at]:
        place = value % len(body[at])
        body[at] = body[at][:place] + ("1" if body[at][place] != "1" else "2") + body[at][place + 1 :]
    elif kind == "gone":
        del body[at]
    elif kind == "twice" and isinstance(body, list):
        body.insert(at, copy.deepcopy(body[at]))
    elif kind == "before":
        earlier: Any = BODIES[1]
        for step in path:
            if (isinstance(earlier, dict) and step in earlier) or (
                isinstance(earlier, list) and type(step) is int and step < len(earlier)
            ):
                earlier = earlier[step]
            else:
                return
        body[at] = copy.deepcopy(earlier)


CHANGES = st.one_of(
    st.tuples(st.just("wrong"), st.sampled_from(WRONG)),
    st.tuples(st.just("off"), st.integers(-3, 3) | st.sampled_from([900, -900])),
    st.tuples(st.sampled_from(["gone", "twice", "before"]), st.none()),
)
WHERE = st.sampled_from(sorted({path[0] for path in PLACES})).flatmap(
    lambda top: st.sampled_from([path for path in PLACES if path[0] == top])
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(WHERE, CHANGES), min_size=1, max_size=2))
def test_changed_and_sealed_records_are_judged_alike(changes: list[tuple[tuple[Any, ...], tuple[str, Any]]]) -> None:
    bodies = copy.deepcopy(BODIES[:3])
    for path, change in changes:
        put(bodies[2], path, change)
    both(sealed(bodies), keys_of(BODIES))


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1), st.sampled_from([b"", b" ", b"0", b'"', b"\\", b"true", b"1", b"A", b"\xc3", b"9" * 17]), st.integers(0, 3)
)
def test_changed_bytes_of_a_line_are_judged_alike(where: float, piece: bytes, cut: int) -> None:
    at = int(where * len(LINES[2]))
    both([*LINES[:2], LINES[2][:at] + piece + LINES[2][at + cut :], LINES[3]], [])


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1),
    st.sampled_from([b"", b" ", b"0", b'"', b"1", b"A", b"\xc3", b"\xc3\xbc", b"9" * 17, b"[]"]),
    st.integers(0, 3),
)
def test_changed_and_sealed_bytes_are_judged_alike(where: float, piece: bytes, cut: int) -> None:
    body = split_line(LINES[2][:-1]).body
    at = int(where * len(body))
    line = IDENTITY.seal(split_line(LINES[1][:-1]).hash, body[:at] + piece + body[at + cut :])
    both([*LINES[:2], line.text() + b"\n"], [])


def test_a_header_that_stands_twice_is_refused_in_one_scale_and_in_two() -> None:
    in_one, in_two = copy.deepcopy(BODIES[:3]), copy.deepcopy(BODIES[:3])
    in_one[2]["work"][1][3] = 2
    in_one[2]["best"][1]["headers"] *= 2
    in_two[2]["best"][0]["headers"] = in_two[2]["best"][1]["headers"]
    for bodies in (in_one, in_two):
        _, reason = judged(sealed(bodies), QuickRecords)
        assert reason is not None
        assert "listed twice" in reason


def test_the_key_of_a_quarter_hour_is_nobody_elses() -> None:
    key = next(posting["key"] for posting in BODIES[2]["postings"] if posting["key"].startswith("interval:"))
    for body in (1, 2):
        bodies = copy.deepcopy(BODIES[:3])
        coins = [posting for posting in bodies[body]["postings"] if posting["event"].startswith("coin")]
        coins[0]["key"] = key
        assert judged(sealed(bodies), QuickRecords)[1] == judged(sealed(bodies), Never)[1] is not None


JOULES = st.integers(0, 10**9) | st.sampled_from([0, 1, 2**53, 2**53 - 1])
CENTS = st.integers(-20_000, 20_000) | st.sampled_from([0, 2**53, -(2**53)])
NAMES = st.sampled_from(["levies", "grid_fee", "a.b", "Gebühr", "spot", "x y"])


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(JOULES, JOULES, JOULES, JOULES, JOULES),
    st.tuples(CENTS, CENTS, CENTS, CENTS | st.none(), st.integers(0, 9) | st.none()),
    st.dictionaries(NAMES, CENTS, max_size=4),
    st.sampled_from([None, 0, 1000, 10**7]),
    st.booleans(),
)
def test_expected_bytes_are_what_the_rules_give(
    joules: tuple[int, int, int, int, int], cents: tuple[Any, ...], components: dict[str, int], limit_w: int | None, priced: bool
) -> None:
    energies = Energies(*joules)
    spot, premium, fee, tariff, published = cents
    fact = PriceFact(spot, components, premium, fee, "the source", published, tariff) if priced else None
    member = cast(dict[str, Any], price_member(fact)) if priced else None
    typed = None if member is None else Prices(*(member[name] for name in sorted(member)))
    if typed is not None:
        typed.import_ = [(name, cent) for name, cent in typed.import_]
    wanted = energy.interval_postings(900_000, 5, energies, fact, export_limit_w=limit_w, duration_s=INTERVAL_S)
    found = expected_postings(900_000, 5, energies, allocate(energies), typed, limit_w)
    if found is None:
        most_j = max(*joules, abs(energies.residual_j))
        dearest = 3 * max(map(abs, (spot, premium, fee, tariff or 0, *components.values())))
        assert max(most_j, dearest, most_j * dearest // 360_000) >= 2**53 or "spot" in components
        return
    names, texts = found
    assert [f"interval:900000:{name}" for name in names] == [posting.key for posting in wanted]
    assert [before + b"7" + after for before, after in texts] == [
        canonical(posting_member(StoredPosting(7, posting))) for posting in wanted
    ]


@pytest.mark.parametrize("recognition", ["at_maturity", "at_accrual"])
@pytest.mark.parametrize(("value_sat", "value_ueur"), [(1, 1), (5000, 123), (2**53, 7)])
def test_rows_of_coins_are_their_lines(recognition: Recognition, value_sat: int, value_ueur: int) -> None:
    def rows(lines: tuple[PostingLine, ...]) -> list[tuple[str, str, str, int]]:
        return [(line.account, line.side, line.asset, line.amount) for line in lines]

    accrued = accrual_lines(value_sat, value_ueur, recognition)
    assert accrual_rows(value_sat, value_ueur, recognition) == rows(accrued)
    assert available_rows(value_sat, value_ueur, recognition) == rows(available_lines(accrued))


@pytest.mark.parametrize(
    "spelling", [b'"a":1,"\\u0062":2', '"ü":1'.encode(), b'"b":1,"a":2', b'"a":1,"a":1', b'"a":1.0', b'"a":true']
)
def test_a_source_is_read_in_its_one_spelling_only(spelling: bytes) -> None:
    raw = b'{"event":"coinbase_accrued","id":1,"key":"k","lines":[],"reverses":null,"source":{%b},"text":"",'
    raw += b'"time_ms":1,"wall_ms":1}'
    assert read_coin_posting(raw % b'"a":1,"b":2') is not None
    assert read_coin_posting(raw % spelling) is None


def test_a_number_beyond_the_safe_ones_is_read_with_care() -> None:
    body = split_line(LINES[2][:-1]).body
    start = str(BODIES[2]["wall_end_ms"]).encode()
    assert read_record(body) is not None
    assert read_record(body.replace(b'"wall_end_ms":' + start, b'"wall_end_ms":9007199254740993')) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2000), min_size=1, max_size=300)), max_size=8))
def test_a_header_is_seen_again_whatever_came_between(added: list[tuple[int, list[int]]]) -> None:
    seen = SeenHeaders()
    known: set[tuple[bytes, bytes]] = set()
    for place, numbers in added:
        parent = bytes([place]) * 32
        hashes = {number.to_bytes(32, "little") for number in numbers}
        assert seen.holds_none(parent, hashes) == all((parent, name) not in known for name in hashes)
        new = [name for name in sorted(hashes) if (parent, name) not in known]
        seen.add(parent, new)
        known |= {(parent, name) for name in new}
    assert all(not seen.holds_none(parent, [name]) for parent, name in known)
    assert SITE.genesis_hash not in seen.by_parent


def test_rows_are_shared_only_in_the_order_in_which_they_are_judged() -> None:
    accepted = {900_000: {(1, "a", 1): (3, 9), (2, "b", 1): (1, 3)}}
    same, turned = dict(accepted[900_000]), dict(reversed(accepted[900_000].items()))
    assert shared(900_000, same, accepted) is accepted[900_000]
    assert shared(900_000, turned, accepted) is turned
    assert shared(0, same, accepted) is same
