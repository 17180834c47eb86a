"""Records taken at once: what is taken so, the careful way takes too and remembers the same; nothing else leaves a trace."""

import copy
import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.treasury.evidence_files import GOLDEN, bodies_of, seal_all
from tests.unit.treasury.treasury_site import SITE

from photosynth.quantities.balance import Energies, allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury import Identity
from photosynth.treasury.evidence.body import price_member
from photosynth.treasury.evidence.canonical import CanonicalError
from photosynth.treasury.evidence.check_blocks import KnownBlock
from photosynth.treasury.evidence.check_claims import shared
from photosynth.treasury.evidence.check_postings import Accrual, accrual_rows, available_rows, rows_of
from photosynth.treasury.evidence.findings import totals
from photosynth.treasury.evidence.kinds import quarter_hour
from photosynth.treasury.evidence.kinds.quarter_hour import texts_of
from photosynth.treasury.evidence.quick_energy import expected_postings
from photosynth.treasury.evidence.quick_quarter_hour import QuickQuarterHours
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.seal import SealError, split_line
from photosynth.treasury.evidence.seen import SeenHeaders
from photosynth.treasury.evidence.state import FileState
from photosynth.treasury.evidence.typed import Prices, QuarterHour, read_coin_posting, read_quarter_hour
from photosynth.treasury.evidence.verify import Verifier
from photosynth.treasury.facts import PriceFact, Recognition
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.energy import Occasion, interval_key
from photosynth.treasury.mining.rewards import accrual_lines, available_lines

LINES = GOLDEN.read_bytes().splitlines(keepends=True)
BODIES = bodies_of(GOLDEN.read_bytes())
AT = max(at for at, body in enumerate(BODIES) if body["kind"] == "quarter_hour")
"""The golden file's last quarter hour: it has work, a block and a quarter hour before it that knew all its registers."""
BEFORE = max(at for at, body in enumerate(BODIES[:AT]) if body["kind"] == "quarter_hour")
IDENTITY = Identity.from_seed(b"\x0a" * 32)
WRONG: list[Any] = [None, True, 0, 1, -1, 2**53, str(2**53 + 1), "", "00", "x", "AA" * 32, "é", "\U0001f600", '"', [], [[]], {}]


class Never(QuickQuarterHours):
    """Leaves every quarter hour to the careful way."""

    def take(self, record: QuarterHour, file: FileState) -> bool:
        del record, file
        return False


class Counted(QuickQuarterHours):
    """Counts what is taken at once."""

    taken = 0

    def take(self, record: QuarterHour, file: FileState) -> bool:
        found = super().take(record, file)
        self.taken += found
        return found


def judged(lines: list[bytes], way: type[QuickQuarterHours]) -> tuple[Verifier, str | None]:
    """What a verifier remembers of some lines, and the words in which one of them is refused."""
    verifier = Verifier()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quarter_hour, "QuickQuarterHours", way)
        try:
            for line in lines:
                verifier.take(line)
        except (EvidenceError, SealError, CanonicalError, ValueError, ArithmeticError) as error:
            return verifier, repr(error)
    return verifier, None


def remembered(file: FileState) -> list[Any]:
    """Everything, but for the quick way itself and what signatures are checked with."""
    kept = [getattr(file, name) for name in FileState.__slots__ if name not in {"quick", "streams", "tree", "corrected"}]
    streams = [(stream.name, stream.key, stream.hashes, list(stream.places)) for stream in file.streams.values()]
    return [*kept, streams]


def both(lines: list[bytes]) -> int:
    """Two verifiers, with the quick way and without, say and remember the same; how many quarter hours went quickly."""
    quick, said = judged(lines, Counted)
    careful, wanted = judged(lines, Never)
    assert said == wanted
    if said is None:
        assert remembered(quick.file) == remembered(careful.file)
        assert totals(quick) == totals(careful)
    return sum(cast(Counted, way).taken for way in quick.file.quick.values())


def test_a_sound_quarter_hour_goes_the_quick_way() -> None:
    assert both(LINES[: AT + 1]) == 1
    assert both(LINES) == 1


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in steps:
        yield from places(part, (*path, step))


PLACES = [path for path in places(BODIES[AT]["data"]) if path]


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
        earlier: Any = BODIES[BEFORE]["data"]
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
@given(st.lists(st.tuples(WHERE, CHANGES), min_size=1, max_size=2), st.booleans())
def test_changed_and_sealed_quarter_hours_are_judged_alike(changes: list[Any], booked: bool) -> None:
    bodies = copy.deepcopy(BODIES[: AT + 1 + booked])
    for path, change in changes:
        put(bodies[AT]["data"], path, change)
    both(seal_all(bodies))


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1), st.sampled_from([b"", b" ", b"0", b'"', b"\\", b"true", b"1", b"A", b"\xc3", b"9" * 17]), st.integers(0, 3)
)
def test_changed_bytes_of_a_line_are_judged_alike(where: float, piece: bytes, cut: int) -> None:
    at = int(where * len(LINES[AT]))
    both([*LINES[:AT], LINES[AT][:at] + piece + LINES[AT][at + cut :], *LINES[AT + 1 :]])


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1),
    st.sampled_from([b"", b" ", b"0", b'"', b"1", b"A", b"\xc3", b"\xc3\xbc", b"9" * 17, b"[]"]),
    st.integers(0, 3),
)
def test_changed_and_sealed_bytes_are_judged_alike(where: float, piece: bytes, cut: int) -> None:
    body = split_line(LINES[AT]).body
    at = int(where * len(body))
    both([*LINES[:AT], IDENTITY.seal(body[:at] + piece + body[at + cut :]).text() + b"\n"])


def test_a_header_that_stands_twice_is_refused_in_one_scale_and_in_two() -> None:
    in_one, in_two = copy.deepcopy(BODIES[: AT + 1]), copy.deepcopy(BODIES[: AT + 1])
    data = in_one[AT]["data"]
    data["work"][1][3] = 2
    data["best"][1]["headers"] *= 2
    in_two[AT]["data"]["best"][0]["headers"] = in_two[AT]["data"]["best"][1]["headers"]
    for bodies in (in_one, in_two):
        _, reason = judged(seal_all(bodies), QuickQuarterHours)
        assert reason is not None
        assert "listed twice" in reason


def test_the_key_of_a_quarter_hour_is_nobody_elses() -> None:
    key = BODIES[AT + 1]["data"]["postings"][1]["key"]
    assert key.startswith("interval:")
    for wanted in (key, "interval:", "correction:x", "interval:backnang:1:energy"):
        bodies = copy.deepcopy(BODIES[: AT + 2])
        bodies[AT + 1]["data"]["postings"][0]["key"] = wanted
        assert judged(seal_all(bodies), QuickQuarterHours)[1] is not None


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
    at = Occasion("site", interval_key("site", 900_000), 900_000, 5)
    wanted = energy.interval_postings(at, energies, fact, export_limit_w=limit_w, duration_s=INTERVAL_S)
    found = expected_postings("site", 900_000, 5, energies, allocate(energies), typed, limit_w)
    if found is None:
        most_j = max(*joules, abs(energies.residual_j))
        dearest = 3 * max(map(abs, (spot, premium, fee, tariff or 0, *components.values())))
        assert max(most_j, dearest, most_j * dearest // 360_000) >= 2**53 or "spot" in components
        return
    assert found == list(texts_of(wanted))


@pytest.mark.parametrize("recognition", ["at_maturity", "at_accrual"])
@pytest.mark.parametrize(("value_sat", "value_ueur"), [(1, 1), (5000, 123), (2**53, 7), (5, 0), (0, 5)])
def test_rows_of_coins_are_their_lines(recognition: Recognition, value_sat: int, value_ueur: int) -> None:
    accrual = Accrual(KnownBlock(b"", b"", 1, value_sat, "bitcoin/regtest"), value_ueur, recognition)
    accrued = accrual_lines(value_sat, value_ueur, recognition)
    assert accrual_rows(accrual) == rows_of(accrued)
    assert available_rows(accrual) == rows_of(available_lines(accrued))


@pytest.mark.parametrize(
    "spelling", [b'"a":1,"\\u0062":2', '"ü":1'.encode(), b'"b":1,"a":2', b'"a":1,"a":1', b'"a":1.0', b'"a":true']
)
def test_a_source_is_read_in_its_one_spelling_only(spelling: bytes) -> None:
    raw = b'{"event":"coinbase_accrued","id":1,"key":"k","lines":[],"reverses":null,"source":{%b},"text":"",'
    raw += b'"time_ms":1,"wall_ms":1}'
    assert read_coin_posting(raw % b'"a":1,"b":2') is not None
    assert read_coin_posting(raw % spelling) is None


def test_a_number_beyond_the_safe_ones_is_read_with_care() -> None:
    body = split_line(LINES[AT]).body
    body = body[len(b'{"data":') : body.rindex(b',"kind":"')]
    start = str(BODIES[AT]["data"]["wall_end_ms"]).encode()
    assert read_quarter_hour(body) is not None
    assert read_quarter_hour(body.replace(b'"wall_end_ms":' + start, b'"wall_end_ms":9007199254740993')) is None


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


def test_nothing_of_a_file_waits_for_the_collector_of_circles() -> None:
    # It is off while the command verifies, and two verifications in one process would take the memory of both.
    enabled = gc.isenabled()
    gc.disable()
    try:
        verifier, reason = judged(seal_all(copy.deepcopy(BODIES)), Counted)
        assert reason is None
        assert isinstance(verifier.file.quick["backnang"], Counted)
        gone = weakref.ref(verifier.file.quick["backnang"])
        del verifier
        assert gone() is None
    finally:
        if enabled:
            gc.enable()
