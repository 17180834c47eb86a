"""The committed reference is what the models say, and every field of the fleet file is explained."""

from pathlib import Path

import pytest

from photosynth.cli.reference import pages

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", ["fleet-file.md", "command-line.md", "documents.md"])
def test_reference_is_up_to_date(name: str) -> None:
    """`make reference` would change nothing."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], "run `make reference` and commit what it writes"


def test_units_are_in_the_reference() -> None:
    """What a quantity may be written in stands beside it."""
    text = pages()["fleet-file.md"]
    assert "| `connection` | a power in W, kW, MW, GW, like `400 kW` | yes |" in text
    assert "`machines.groups[]`" in text
