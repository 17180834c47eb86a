"""Texts from outside: what is kept, and what is refused with its place."""

import pytest

from photosynth.quantities.texts import objection


@pytest.mark.parametrize(
    "text", ["", "storm", "Überprüfung der Halle 3 – später mehr", "雨", "a\u200db", "tab is no letter: \\t"]
)
def test_plain_text_of_any_language_is_kept(text: str) -> None:
    assert objection(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("\0", "U+0000, as its character 1"), ("a\tb", "U+0009, as its character 2"), ("ab\x85", "U+0085"), ("\ud800", "U+D800")],
)
def test_what_no_line_of_an_audit_shows_is_named(text: str, said: str) -> None:
    assert said in (objection(text) or "")
