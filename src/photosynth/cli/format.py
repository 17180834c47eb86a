"""The terminal's habits: how this user writes numbers, and where tables and progress go."""

import os
from typing import TYPE_CHECKING

from photosynth.quantities.format import Style, style_of_locale

if TYPE_CHECKING:
    from rich.console import Console


def user_style() -> Style:
    """German or English numbers, by LC_ALL, LC_NUMERIC or LANG, whichever is set first."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_NUMERIC", "LANG"))
    return style_of_locale(next((name for name in names if name), None))


def output() -> "Console":
    """Where answers go."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def progress_output() -> "Console":
    """Where progress goes: standard error, so that answers can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
