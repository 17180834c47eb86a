"""Assets: what is written is what is read, to the last digit, and nothing is rounded."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.quantities.assets import ASSETS, Asset, is_code

BY_CODE = {asset.code: asset for asset in ASSETS}


@given(st.integers(-(10**60), 10**60), st.integers(0, 40))
def test_an_amount_written_and_read_is_the_same(amount: int, decimals: int) -> None:
    asset = Asset("X1", "X", None, "x", decimals)
    text = asset.format(amount)
    assert asset.parse(text) == amount
    assert Decimal(text).scaleb(decimals, Context(prec=200)) == amount
    assert len(text.partition(".")[2]) == decimals


@pytest.mark.parametrize(
    ("code", "amount", "text"),
    [
        ("ETH", 40 * 10**18, "40.000000000000000000"),
        ("ETH", 1, "0.000000000000000001"),
        ("BTC", -3490, "-0.00003490"),
        ("EUR", 1_500_000, "1.500000"),
        ("J", 10**30, "1" + "0" * 30),
        ("DOT", 10**10, "1.0000000000"),
        ("FLOW", 0, "0.00000000"),
    ],
)
def test_each_asset_has_its_own_digits(code: str, amount: int, text: str) -> None:
    assert BY_CODE[code].format(amount) == text
    assert BY_CODE[code].parse(text) == amount


@pytest.mark.parametrize(("text", "amount"), [("40", 40 * 10**18), ("1.5", 15 * 10**17), ("007", 7 * 10**18), ("-0", 0)])
def test_fewer_digits_will_do(text: str, amount: int) -> None:
    assert BY_CODE["ETH"].parse(text) == amount


def test_zeros_beyond_an_assets_digits_say_nothing_new() -> None:
    assert BY_CODE["EUR"].parse("1.50000000") == 1_500_000


@pytest.mark.parametrize(
    "text", ["", "1e3", "1,5", ".5", "5.", "+1", "--1", " 1", "1 ", "0x1", "١", "1_000", "nan", "1\n", "9" * 5000, "0.000000001"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="BTC"):
        BY_CODE["BTC"].parse(text)


@pytest.mark.parametrize("code", ["", "btc", "1INCH", "B TC", "Ä", "A" * 17, "BTC\n"])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert not is_code(code)
    with pytest.raises(ValueError, match="no code of an asset"):
        Asset(code, "x", None, "x", 0)


def test_codes_are_unique_and_sorted() -> None:
    assert list(BY_CODE) == sorted(asset.code for asset in ASSETS)
    assert {"BTC", "ETH", "EUR", "J", "DOT", "CELO", "FLOW", "Q", "LINK"} == set(BY_CODE)
