"""Names that peers give: a worker's is taken as it is or refused, never cut or changed; what is only shown is cleaned.

Two workers whose names were cut or cleaned to the same text would be paid as one.
"""

import re

MAX_WORKER_NAME = 128
"""Characters. An address of 62 (BIP173 allows 90 at most) and the name of a machine behind a dot fit well."""
MAX_SHOWN = 64
_OTHER = re.compile(r"[^A-Za-z0-9._@:+=/#~ -]")


def objection_to_name(name: str) -> str | None:
    """Why a text cannot be a worker's name, as the peer is told it; None where it can."""
    if not 0 < len(name) <= MAX_WORKER_NAME:
        return f"a worker's name has 1 to {MAX_WORKER_NAME} characters, not {len(name)}"
    if _OTHER.search(name) or name != name.strip():
        return "a worker's name has letters, digits, . _ @ : + = / # ~ - and blanks inside"
    return None


def shown_text(text: str) -> str:
    """What a peer says of itself, as it may be stored and shown: bounded, printable ASCII, never empty."""
    return _OTHER.sub("_", text.strip()[:MAX_SHOWN]) or "anonymous"
