"""Files made to hurt the verifier: whatever stands in them, it answers with a report, soon and in little memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from photosynth.treasury import Identity, verify
from photosynth.treasury.evidence import verify as verify_module
from photosynth.treasury.evidence.canonical import CanonicalError, canonical
from photosynth.treasury.evidence.seal import NO_HASH, SealedLine, SealError, chain_hash

GOLDEN = Path(__file__).parent / "golden_evidence.jsonl"
STRANGE: tuple[Any, ...] = (None, True, -1, 2**53, "", "x", "00", "9" * 100, [], [[]], {}, {"a": []}, [None] * 9, "\U0001f600")
FEW: tuple[Any, ...] = (None, -1, "x", [], {})
"""One of each kind: for a record that is like the next one, and differs in that nothing comes before it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, containers included."""
    yield path
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for step, part in steps:
        yield from places(part, (*path, step))


def resealed(bodies: list[bytes]) -> bytes:
    """The bodies, as canonical text, under fresh hashes and signatures of the golden file's key."""
    identity, previous, lines = Identity.from_seed(b"\x01" * 32), NO_HASH, []
    for body in bodies:
        sealed = identity.seal(previous, body)
        previous = sealed.hash
        lines.append(sealed.text() + b"\n")
    return b"".join(lines)


def golden() -> list[Any]:
    return [json.loads(line)["body"] for line in GOLDEN.read_bytes().splitlines()]


@pytest.mark.parametrize(("line", "values"), [(0, STRANGE), (1, FEW), (2, STRANGE), (3, STRANGE)])
def test_no_member_of_a_strange_kind_breaks_the_verifier(tmp_path: Path, line: int, values: tuple[Any, ...]) -> None:
    bodies = golden()
    texts = [canonical(body) for body in bodies]
    path = tmp_path / "strange"
    body = {"whole": bodies[line]}
    for place in list(places(bodies[line], ("whole",))):
        where: Any = body
        for step in place[:-1]:
            where = where[step]
        right = where[place[-1]]
        for strange in values:
            if type(right) is type(strange) and right == strange:
                continue
            where[place[-1]] = strange
            texts[line] = canonical(body["whole"])
            path.write_bytes(resealed(texts))
            report = verify(path)
            assert report.exit_code in (0, 1, 2)
            assert report.exit_code == 0 or report.reason
        where[place[-1]] = right


@pytest.mark.parametrize("line", [0, 1, 2, 3])
def test_every_member_is_needed_and_no_other_is_allowed(tmp_path: Path, line: int) -> None:
    path = tmp_path / "strange"
    bodies = golden()
    texts = [canonical(body) for body in bodies]

    def exit_code() -> int:
        texts[line] = canonical(bodies[line])
        path.write_bytes(resealed(texts))
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
    with pytest.raises(SealError, match="not an identity key"):
        Identity.open(path)


def test_another_key_than_the_expected_one_is_found() -> None:
    assert verify(GOLDEN, Identity.from_seed(b"\x01" * 32).public_key).exit_code == 0
    report = verify(GOLDEN, Identity.from_seed(b"\x02" * 32).public_key)
    assert report.exit_code == 1
    assert report.reason is not None
    assert "another key" in report.reason


def test_a_surrogate_has_no_place() -> None:
    with pytest.raises(CanonicalError):
        canonical({"\ud800": 1})


def test_a_key_that_everything_is_signed_with_is_refused(tmp_path: Path) -> None:
    """The neutral point as a key: a signature of base point and one is good for any text, by the bare equation."""
    neutral, base_point = bytes([1, *[0] * 31]), bytes([0x58, *[0x66] * 31])
    body = canonical(golden()[0] | {"public_key": neutral.hex()})
    path = tmp_path / "anybody's"
    path.write_bytes(SealedLine(body, chain_hash(NO_HASH, body), base_point + neutral).text() + b"\n")
    assert verify(path, neutral).reason == "its signature is not of the key that the header names"
