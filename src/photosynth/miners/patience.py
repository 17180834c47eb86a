"""How long what does not obey is let be before it is told again: longer each time, an hour at the most."""

FIRST_PATIENCE_MS = 60_000
LONGEST_PATIENCE_MS = 3_600_000


def patience_ms(tries: int) -> int:
    """Site milliseconds to wait after so many tries before the last."""
    return min(FIRST_PATIENCE_MS << min(tries, 8), LONGEST_PATIENCE_MS)
