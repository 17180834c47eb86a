"""Files of evidence for tests: taken apart, changed and sealed anew as a forger with every key would."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.treasury.treasury_site import BOOKS_SEED, SITE_SEED

from photosynth.treasury import Identity
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.seal import NO_HASH

GOLDEN = Path(__file__).parent / "golden_evidence.jsonl"
OTHER_SITE_SEED = b"\x07" * 32
Change = Callable[[list[dict[str, Any]]], None]


def bodies_of(content: bytes) -> list[dict[str, Any]]:
    """The body of every line."""
    return [json.loads(line)["body"] for line in content.splitlines()]


def data_of(content: bytes, kind: str) -> list[dict[str, Any]]:
    """What the lines of a kind say."""
    return [body["data"] for body in bodies_of(content) if body["kind"] == kind]


def identity_of(stream: str, seed: bytes = SITE_SEED) -> Identity:
    """The key that a test's stream is signed with."""
    return Identity.from_seed({"books": BOOKS_SEED, "weiler": OTHER_SITE_SEED}.get(stream, seed))


def next_identity(stream: str) -> Identity:
    """The key that a test's stream is handed over to."""
    return Identity.from_seed(bytes([0x0B if stream == "books" else 0x0A]) * 32)


class Sealing:
    """Seals bodies under fresh hashes and signatures; each follows on the one before it in its stream."""

    def __init__(self, seed: bytes = SITE_SEED) -> None:
        self._seed = seed
        self._heads: dict[str, bytes] = {}
        self._identities: dict[str, Identity] = {}

    def copy(self) -> "Sealing":
        """One that goes on from here by itself."""
        other = Sealing(self._seed)
        other._heads, other._identities = dict(self._heads), dict(self._identities)
        return other

    def line(self, body: dict[str, Any]) -> bytes:
        """A body as the next line of its stream."""
        data = body.get("data")
        stream = body["stream"] if isinstance(body.get("stream"), str) else "backnang"
        identity = self._identities.get(stream) or identity_of(stream, self._seed)
        if body.get("kind") in ("site", "books") and isinstance(data, dict) and _is_key(data.get("public_key")):
            data["public_key"] = identity.public_key.hex()
        previous = self._heads.get(stream, NO_HASH)
        if "previous" in body:
            body["previous"] = previous.hex()
        following = next_identity(stream)
        if body.get("kind") == "key" and isinstance(data, dict) and data.get("public_key") == following.public_key.hex():
            self._identities[stream] = following
            if "proof" in data and isinstance(data["proof"], str) and len(data["proof"]) == 128:
                data["proof"] = following.proof(previous).hex()
        sealed = identity.seal(canonical(body))
        self._heads[stream] = sealed.hash
        return sealed.text() + b"\n"


def seal_all(bodies: list[dict[str, Any]], seed: bytes = SITE_SEED) -> list[bytes]:
    """The bodies as lines."""
    sealing = Sealing(seed)
    return [sealing.line(body) for body in bodies]


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def rewrite(path: Path, change: Change, seed: bytes = SITE_SEED) -> None:
    """Change bodies, then recompute every hash and every signature."""
    bodies = bodies_of(path.read_bytes())
    change(bodies)
    path.write_bytes(b"".join(seal_all(bodies, seed)))


def set_in(line: int, *path: str | int, to: Any) -> Change:
    """A change of one member of what a line says (or of its envelope, where the path begins with 'envelope')."""

    def change(bodies: list[dict[str, Any]]) -> None:
        steps = path[1:] if path[0] == "envelope" else ("data", *path)
        where: Any = bodies[line]
        for step in steps[:-1]:
            where = where[step]
        where[steps[-1]] = to(where[steps[-1]]) if callable(to) else to

    return change


def numbered(bodies: list[dict[str, Any]]) -> None:
    """Postings' ids without a gap, as they stand now."""
    postings = [posting for body in bodies if body["kind"] == "postings" for posting in body["data"]["postings"]]
    for number, posting in enumerate(postings, 1):
        posting["id"] = number
