"""Whatever stands in a fleet file, loading it gives a fleet or FleetFileError, and never anything else."""

import re
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from photosynth.fleet import Fleet, FleetFileError, parse_fleet

TEXT = (Path(__file__).parents[3] / "examples" / "backnang.yaml").read_text(encoding="utf-8")
VALUES = [match.span(1) for match in re.finditer(r": ([^\s#,{}\[\]]+)", TEXT)]
SCALARS = st.sampled_from(
    """-1;0;1e400;.inf;.nan;null;~;true;[];{};[1, [2]];{a: b};x;'';1 kW;5 EUR/MWh;0x10;2026-02-30;99999999999999999999999;
    127.0.0.1:1;'{machine}';*a;&a x;!!int x;|;? x;\t;- a;"\\u0000";[1, 2;}""".split(";")  # noqa: SIM905
)


def load(raw: bytes) -> None:
    """Load, and let nothing but FleetFileError pass in silence."""
    try:
        assert isinstance(parse_fleet(raw, "fuzz.yaml", Path()), Fleet)
    except FleetFileError as error:
        assert error.problems  # noqa: PT017 - a fleet is as good an outcome
        for problem in error.problems:
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.what
            assert problem.how_to_mend


@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbfversion: 1")
@example(b"%YAML 1.1\n---\nversion: 1:30")
@example(b"? [a]\n: b")
@example(b"<<: {a: 1}")
@example(b"version: &a 1\nsite: &a x")
def test_any_bytes(raw: bytes) -> None:
    """Bytes at random."""
    load(raw)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#, \n\t0123456789~", max_size=200))
def test_yaml_like_text(text: str) -> None:
    """Text of the characters that mean something in YAML."""
    load(text.encode())


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VALUES), SCALARS), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
def test_the_example_with_values_replaced(changes: list[tuple[tuple[int, int], str]]) -> None:
    """The example with up to four values replaced by something odd."""
    text = TEXT
    for (start, end), new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    load(text.encode())


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_the_example_without_lines(data: st.DataObject) -> None:
    """The example with lines missing or shifted."""
    lines = TEXT.splitlines()
    gone = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=5))
    shifted = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=2))
    kept = [("  " if number in shifted else "") + line for number, line in enumerate(lines) if number not in gone]
    load("\n".join(kept).encode())
