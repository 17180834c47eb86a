"""Whether an operator has switched a site off, as its file says; for whoever only reads, and imports nothing that runs."""

from pathlib import Path


def switched_off(mark: Path) -> bool:
    """Whether an operator has switched a site off, which holds until it is resumed. Raises OSError where that cannot be seen."""
    try:
        mark.lstat()
    except FileNotFoundError:
        return False
    return True
