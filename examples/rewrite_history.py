"""Rewrites an export of evidence as a dishonest operator could who holds the signing keys, to see whether anybody notices.

    python examples/rewrite_history.py evidence.jsonl rewritten.jsonl STATE/keys

In the second quarter hour it raises the estimate of curtailed energy, a figure that no balance and no posting depends on, and
then computes every hash and every signature anew. What still contradicts it are the coinbases that were mined since.
"""

import json
import sys
from pathlib import Path

from photosynth.treasury import Identity
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.seal import NO_HASH


def rewrite(honest: bytes, keys: Path) -> bytes:
    """The same file with one figure changed and every seal made anew; of streams whose key was never handed over."""
    bodies = [json.loads(line)["body"] for line in honest.splitlines()]
    quarter_hours = [body["data"] for body in bodies if body["kind"] == "quarter_hour"]
    quarter_hours[1]["curtailed_estimate_j"] = (quarter_hours[1]["curtailed_estimate_j"] or 0) + 36_000_000
    heads: dict[str, bytes] = {}
    lines = []
    for body in bodies:
        stream = body["stream"]
        body["previous"] = heads.get(stream, NO_HASH).hex()
        sealed = Identity.open(keys / f"{stream}.key").seal(canonical(body))
        heads[stream] = sealed.hash
        lines.append(sealed.text() + b"\n")
    return b"".join(lines)


if __name__ == "__main__":
    source, target, folder = map(Path, sys.argv[1:])
    target.write_bytes(rewrite(source.read_bytes(), folder))
