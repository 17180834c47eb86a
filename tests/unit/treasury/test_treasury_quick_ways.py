"""The verifier's quick ways: what they take, the careful ones take too and read the same; what they do not, those decide."""

import copy
import json
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.treasury.evidence_files import GOLDEN as GOLDEN_FILE
from tests.unit.treasury.treasury_site import SCRIPT, solve

from photosynth.bitcoin.coinbase import build_coinbase, read_commitment, read_height, with_witness
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.treasury.evidence import canonical as c
from photosynth.treasury.evidence import check_headers as h
from photosynth.treasury.evidence.coinbases import JobCoinbases, ReadCoinbase
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.seal import split_line

GOLDEN = [split_line(line).body for line in GOLDEN_FILE.read_bytes().splitlines(keepends=True)]
HEAD = bytes(range(32))
PIECES = [
    *(b" ", b"1.0", b"1e3", b"-0", b"true", b"null", b'""', b'"', b"\\", b"\\u0041", b"\\n", b'\\"', b"[", b"]", b"{", b"}"),
    *(b",", b":", b"\x00", b"\x7f", b"\xc3\xbc", b"\xc3", b"\xed\xa0\x80", b"\xee\x80\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf"),
    *(b"9" * 15, b"9" * 16, b"9007199254740992", b"9007199254740993", b"-9007199254740993", b"9" * 20, b"1E999", b"NaN"),
    *(b"[" * 9 + b"]" * 9, b"[" * 17 + b"]" * 17, b'{"a":' * 17 + b"1" + b"}" * 17, b'["]",["]",["]",[1]]]'),
]


CHANGE = st.tuples(st.floats(0, 1), st.sampled_from(PIECES) | st.binary(max_size=2), st.integers(0, 3))
"""Where in the whole, what is put there, and how many bytes make room for it."""


def changed(raw: bytes, change: tuple[float, bytes, int]) -> bytes:
    where, piece, cut = change
    at = int(where * len(raw))
    return raw[:at] + piece + raw[at + cut :]


def judged(read: Callable[[bytes], Any], raw: bytes) -> Any:
    """What is read of some bytes, or the words in which they are refused."""
    try:
        return read(raw)
    except (c.CanonicalError, FormatError) as error:
        return error


def both(line: bytes) -> None:
    """The two ways agree on a line, and the quick one never takes what the careful one refuses."""
    careful, quick = judged(c.parse_carefully, line), c._plain(line)
    assert repr(judged(c.parse_canonical, line)) == repr(careful)
    assert quick is None or repr(quick) == repr(careful)


@pytest.mark.parametrize("body", GOLDEN)
def test_real_lines_go_the_quick_way(body: bytes) -> None:
    assert c._plain(body) == c.parse_carefully(body)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([GOLDEN[0], GOLDEN[2][:700] + b"}", b'{"a":[1,"b"],"c":{"d":null}}', b"{}", b'{"a":[]}']),
    st.lists(CHANGE, min_size=1, max_size=3),
)
def test_changed_bytes_are_judged_alike(line: bytes, changes: list[tuple[float, bytes, int]]) -> None:
    both(reduce(changed, changes, line))


@pytest.mark.parametrize("innermost", ["1", "[]", "{}"])
@pytest.mark.parametrize("layers", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[', "]}")])
def test_no_line_is_too_deep_for_one_way_alone(layers: tuple[str, str], innermost: str) -> None:
    opening, closing = layers
    for depth in range(1, 25):
        both(f'{{"z":{opening * depth}{innermost}{closing * depth}}}'.encode())


TEXTS = st.text(st.sampled_from('[]{}",:\\a\x00\x1f\x7fü\ue000\U0001f6001e.-'), max_size=6)
NUMBERS = st.integers(-(2**53), 2**53) | st.sampled_from([2**53, -(2**53), 2**53 - 1, 10**15, 10**15 - 1, -(10**15)])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(0, 20), st.booleans())
def test_values_of_any_kind_and_depth_are_judged_alike(value: Any, depth: int, sort: bool) -> None:
    for _ in range(depth):
        value = {"a": value} if depth % 2 else [value]
    both(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort).encode())


def committed(commitment: Commitment, root: bytes) -> int:
    """The place of the one line that there is."""
    if root != HEAD or commitment != COMMITMENT:
        raise EvidenceError("commits to another line")
    return 3


COMMITMENT = Commitment(3, 0, ())


def asked(jobs: list[JobCoinbases]) -> h.Asked:
    return h.Asked((1 << 255) - 1, {7}, jobs, SCRIPT, committed)


def state() -> h.HeaderState:
    return h.HeaderState(parents=set())


def entries() -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """Six real headers of two jobs, and the jobs."""
    found, jobs = [], []
    for at, branch in enumerate(((), (b"\x01" * 32, b"\x02" * 32))):
        parts = build_coinbase(7, [(1234 + at, SCRIPT)], b"\x6a\x01\x00", HEAD, 8)
        job = JobCoinbases(parts.prefix, parts.suffix, branch, COMMITMENT)
        jobs.append({"prefix": parts.prefix, "suffix": parts.suffix, "branch": branch})
        for n in range(3):
            extranonce = bytes([at, n]) * 4
            root = job.coinbase(extranonce).txid
            for sibling in branch:
                root = double_sha256(root + sibling)
            found.append([solve(b"\x05" * 32, root, 1 << 255).serialise().hex(), at, extranonce.hex()])
    return found, jobs


FOUND, JOBS = entries()
WRONG: list[Any] = [None, True, 0, 1, 2, -1, "", "0", "00", "zz", "AA", "a a", [], {}, "00" * 7, "00" * 80, "0" * 161, "ü" * 160]


def flipped(text: str, at: int) -> str:
    at %= len(text)
    return text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]


def one_by_one(found: list[Any], jobs: list[JobCoinbases], into: h.HeaderState) -> int | str:
    try:
        return max(h._check_header(entry, asked(jobs), into) for entry in found)
    except EvidenceError as error:
        return str(error)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(WRONG) | st.integers(0, 200)), max_size=2),
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["prefix", "suffix"]), CHANGE), max_size=1),
)
def test_headers_all_at_once_are_judged_as_one_by_one(
    changes: list[tuple[int, int, Any]], job_changes: list[tuple[int, str, tuple[float, bytes, int]]]
) -> None:
    found: list[Any] = copy.deepcopy(FOUND)
    parts = copy.deepcopy(JOBS)
    for at, column, wrong in changes:
        if column == 3:
            found[at] = wrong if wrong == [] else copy.deepcopy(found[at - 1])
        elif type(found[at]) is list and len(found[at]) == 3:
            text = found[at][column]
            flip = type(wrong) is int and wrong > 2 and type(text) is str and text
            found[at][column] = flipped(text, wrong) if flip else wrong
    for at, name, change in job_changes:
        parts[at][name] = changed(parts[at][name], change)
    jobs = [JobCoinbases(job["prefix"], job["suffix"], job["branch"], COMMITMENT) for job in parts]
    slow, quick = state(), state()
    wanted = one_by_one(found, jobs, slow)
    highest = h._all_at_once(found, asked(jobs), quick)
    if highest is None:
        assert quick == state(), "what is left to the careful way leaves no trace"
    else:
        assert (highest, quick) == (wanted, slow)
    if not changes and not job_changes:
        assert highest is not None


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 600_000),
    st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=30)), max_size=3),
    st.sampled_from([b"", HEAD]),
    st.booleans(),
    st.lists(CHANGE, max_size=1),
)
def test_a_coinbase_taken_apart_says_what_the_transaction_says(
    height: int, outputs: list[tuple[int, bytes]], commitment: bytes, witness: bool, changes: list[tuple[float, bytes, int]]
) -> None:
    raw = build_coinbase(height, outputs, b"", commitment, 8).with_extranonce(b"\x07" * 8)
    raw = reduce(changed, changes, with_witness(raw) if witness else raw)
    transaction = judged(Transaction.parse, raw)
    if isinstance(transaction, FormatError):
        assert repr(judged(ReadCoinbase.parse, raw)) == repr(transaction)
        return
    read = ReadCoinbase.parse(raw)
    assert (read.is_coinbase, read.txid) == (transaction.is_coinbase, transaction.txid)
    assert (read.height, read.commitment) == (read_height(transaction), read_commitment(transaction))
    assert read.outputs == tuple((output.value_sat, output.script) for output in transaction.outputs)
    first, past = read.free
    for at in range(first, past):
        other = ReadCoinbase.parse(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
        same = (other.is_coinbase, other.height, other.commitment, other.outputs, other.free)
        assert same == (read.is_coinbase, read.height, read.commitment, read.outputs, read.free)
