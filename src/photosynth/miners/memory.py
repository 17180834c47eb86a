"""What was learnt of a machine and outlives a restart: read back with as much care as what comes from a network."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from photosynth.miners.commands import Told
from photosynth.miners.machine import Instant
from photosynth.miners.obedience import Learnt


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that is kept of one machine."""

    obedience: Learnt
    told: Told | None
    starts: Annotated[int, Meta(ge=0, le=1 << 53)]
    changed_ms: Instant | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = msgspec.to_builtins(self)
        assert isinstance(found, dict)
        return found

    @classmethod
    def of(cls, document: object) -> "Memory":
        """What a document says. Raises ValueError saying what is wrong with it, and nothing else."""
        return msgspec.convert(document, cls)
