"""Canonical JSON: the examples of RFC 8785 that its subset here allows, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.treasury.evidence.canonical import CanonicalError, canonical, number, parse_canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def test_members_are_sorted_by_utf16_units() -> None:
    # RFC 8785, section 3.2.3.
    value = {
        "€": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "😀": "Emoji: Grinning Face",
        "\x80": "Control",
        "ö": "Latin Small Letter O With Diaeresis",
    }
    names = [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]
    assert list(json.loads(canonical(value)).values()) == names


def test_texts_and_literals_are_spelt_as_the_rfc_says() -> None:
    # RFC 8785, sections 3.2.2.2 and 3.2.4, without the numbers that are no integers.
    value = {"string": '€$\x0f\nA\'B"\\\\"/', "literals": [None, True, False]}
    expected = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert canonical(value) == expected.encode()
    assert canonical("\b\t\n\f\r\x00\x7f") == b'"\\b\\t\\n\\f\\r\\u0000\x7f"'


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    line = canonical(value)
    assert parse_canonical(line) == value
    assert canonical(parse_canonical(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1} ',
        b'{"a":1,"a":1}',
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b"-0",
        b"01",
        b"1.0",
        b"1e3",
        b"NaN",
        b"9007199254740993",
        b"99999999999999999999999",
        b'"\xc3"',
        b'"\\ud800"',
        b"",
        b"[1,2",
        b"\xef\xbb\xbf1",
        b"[" * 20 + b"]" * 20,
        b"[" * 100_000,
    ],
)
def test_another_spelling_is_refused(line: bytes) -> None:
    with pytest.raises(CanonicalError):
        parse_canonical(line)


@pytest.mark.parametrize("value", [1.0, 2**53 + 1, b"bytes", {1: 2}, "\ud800", {"a": object()}])
def test_what_has_no_place_is_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical(value)


def test_large_integers_become_text() -> None:
    assert number(2**53) == 2**53
    assert number(2**53 + 1) == "9007199254740993"
    assert number(-(2**70)) == str(-(2**70))
