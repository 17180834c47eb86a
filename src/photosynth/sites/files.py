"""Where a site keeps what is files."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The pool's share log, its devices' memory, the mark of an operator's stop, and the key that signs its evidence."""

    shares: Path
    world: Path
    stopped: Path
    key: Path
