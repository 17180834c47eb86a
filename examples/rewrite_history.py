"""Rewrites an export of evidence as a dishonest operator could who holds the signing key, to see whether anybody notices.

    python examples/rewrite_history.py evidence.jsonl rewritten.jsonl STATE/identity.key

In the second quarter hour it raises the estimate of curtailed energy, a figure that no balance and no posting depends on, and
then computes every hash and every signature anew. What still contradicts it are the coinbases that were mined since.
"""

import json
import sys
from pathlib import Path

from photosynth.treasury import Identity
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.seal import NO_HASH


def rewrite(honest: bytes, identity: Identity) -> bytes:
    """The same file with one figure changed and every seal made anew."""
    bodies = [json.loads(line)["body"] for line in honest.splitlines()]
    records = [body for body in bodies if body["type"] == "record"]
    records[1]["curtailed_estimate_j"] = (records[1]["curtailed_estimate_j"] or 0) + 36_000_000
    head, lines = NO_HASH, []
    for body in bodies:
        if body["type"] == "end":
            body["head"] = head.hex()
        sealed = identity.seal(head, canonical(body))
        head = sealed.hash
        lines.append(sealed.text() + b"\n")
    return b"".join(lines)


if __name__ == "__main__":
    source, target, key = map(Path, sys.argv[1:])
    target.write_bytes(rewrite(source.read_bytes(), Identity.open(key)))
