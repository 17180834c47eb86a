"""Files made to hurt the verifier: whatever stands in them, it answers with a report, soon and in little memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.treasury.evidence_files import GOLDEN, Sealing, bodies_of, identity_of, seal_all

from photosynth.treasury import Identity, verify
from photosynth.treasury.evidence import verify as verify_module
from photosynth.treasury.evidence.canonical import CanonicalError, canonical
from photosynth.treasury.evidence.envelope import body_of
from photosynth.treasury.evidence.heads import MOST_STREAMS
from photosynth.treasury.evidence.seal import NO_HASH, SealedLine, SealError

LINES = len(GOLDEN.read_bytes().splitlines())
# Lines of the golden file of every kind, and those with a block, an unknown reading and reversals.
SITE, QUARTER_HOUR, POSTINGS, UNKNOWN, CORRECTION, KEY, CHAIN_BLOCK, REVERSALS, LAST, END = 1, 2, 3, 4, 5, 7, 10, 12, 13, 15
STRANGE: tuple[Any, ...] = (None, True, -1, 2**53, "", "x", "00", "9" * 100, [], [[]], {}, {"a": []}, [None] * 9, "\U0001f600")
FEW: tuple[Any, ...] = (None, -1, "x", [], {})
"""One of each kind: for a record that is like the next one, and differs in that nothing comes before it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, containers included."""
    yield path
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for step, part in steps:
        yield from places(part, (*path, step))


def golden() -> list[Any]:
    return bodies_of(GOLDEN.read_bytes())


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (0, STRANGE),
        (SITE, FEW),
        (QUARTER_HOUR, FEW),
        (POSTINGS, FEW),
        (UNKNOWN, FEW),
        (CORRECTION, STRANGE),
        (KEY, STRANGE),
        (CHAIN_BLOCK, FEW),
        (REVERSALS, FEW),
        (LAST, FEW),
        (END, FEW),
    ],
)
def test_no_member_of_a_strange_kind_breaks_the_verifier(tmp_path: Path, line: int, values: tuple[Any, ...]) -> None:
    path = tmp_path / "strange"
    bodies = golden()
    sealing = Sealing()
    before = b"".join(map(sealing.line, bodies[:line]))
    for place in list(places(bodies[line]["data"], ("data",))) + [(name,) for name in bodies[line]]:
        for strange in values:
            changed = json.loads(json.dumps(bodies[line]))
            where: Any = changed
            for step in place[:-1]:
                where = where[step]
            right = where[place[-1]]
            if type(right) is type(strange) and right == strange:
                continue
            where[place[-1]] = strange
            path.write_bytes(before + sealing.copy().line(changed))
            report = verify(path)
            assert report.exit_code in (1, 2), (place, strange)
            assert report.reason


@pytest.mark.parametrize("line", range(LINES))
def test_every_member_is_needed_and_no_other_is_allowed(tmp_path: Path, line: int) -> None:
    path = tmp_path / "strange"
    bodies = golden()

    sealing = Sealing()
    before = b"".join(map(sealing.line, bodies[:line]))

    def exit_code() -> int:
        path.write_bytes(before + b"".join(map(sealing.copy().line, bodies[line:])))
        return verify(path).exit_code

    for place in list(places(bodies[line])):
        where = bodies[line]
        for step in place:
            where = where[step]
        if not isinstance(where, dict) or "source" in place or "rules" in place:
            continue
        for name in list(where):
            right = where.pop(name)
            assert exit_code() in (1, 2), (place, name)
            where[name] = right
        where["unheard"] = 1
        assert exit_code() == 1, place
        del where["unheard"]
    assert exit_code() == 0, "all is as it was"


def test_more_streams_than_any_fleet_has_are_refused(tmp_path: Path) -> None:
    path, site, lines = tmp_path / "many", golden()[SITE]["data"], []
    for number in range(MOST_STREAMS + 1):
        identity = identity_of("backnang")
        lines.append(identity.seal(body_of(f"site-{number}", 0, "site", NO_HASH, site)).text() + b"\n")
    path.write_bytes(b"".join(lines))
    report = verify(path)
    assert (report.exit_code, report.failed_line) == (1, MOST_STREAMS + 1)
    assert report.reason == f"it has more than {MOST_STREAMS} streams"


@pytest.mark.parametrize("name", ["", "A", "a" * 33, "-a", "a/b", "ü"])
def test_a_stream_has_a_name_as_sites_have(tmp_path: Path, name: str) -> None:
    path = tmp_path / "named"
    sealed = identity_of("backnang").seal(body_of(name, 0, "site", NO_HASH, golden()[SITE]["data"]))
    path.write_bytes(sealed.text() + b"\n")
    assert "no name" in str(verify(path).reason)


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "MAX_LINE_BYTES", 10_000)
    path = tmp_path / "long"
    path.write_bytes(GOLDEN.read_bytes().splitlines(keepends=True)[0] + b'{"body":' + b"[" * 200_000)
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason is not None
    assert report.failed_line == 2
    assert "no end within 10000 bytes" in report.reason


def test_an_identity_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    with pytest.raises(SealError, match="is missing: it signed the evidence"):
        Identity.open(path)
    assert not path.exists()
    made = Identity.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Identity.open(path).public_key == made.public_key
    path.write_bytes(b"short")
    with pytest.raises(SealError, match="not a key of evidence"):
        Identity.open(path)


def test_a_surrogate_has_no_place() -> None:
    with pytest.raises(CanonicalError):
        canonical({"\ud800": 1})


@pytest.mark.parametrize("line", [0, KEY])
def test_a_key_that_everything_is_signed_with_is_refused(tmp_path: Path, line: int) -> None:
    """The neutral point as a key: a signature of base point and one is good for any text, by the bare equation."""
    neutral, base_point = bytes([1, *[0] * 31]), bytes([0x58, *[0x66] * 31])
    bodies = golden()
    lines = seal_all(bodies[: line + 1])
    body = bodies[line]
    body["data"] |= {"public_key": neutral.hex()}
    path = tmp_path / "anybody's"
    if line:
        body["data"]["proof"] = (base_point + neutral).hex()
        sealed = identity_of(body["stream"]).seal(canonical(body))
        expected = "its new key did not sign its place: nobody shows that he has it"
    else:
        raw = canonical(body)
        sealed = SealedLine(raw, Identity.from_seed(b"\x01" * 32).seal(raw).hash, base_point + neutral)
        expected = "its signature is not of the key that its stream names"
    path.write_bytes(b"".join([*lines[:line], sealed.text() + b"\n"]))
    assert verify(path, neutral).reason == expected
