"""Prices item by item, the synthetic market, recorded days, and what a hash is worth."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from photosynth.energy.coin_market import DeclaredCoinMarket, declared_quote, outlook, strike_cent_per_mwh, subsidy_sat
from photosynth.energy.market import day_ahead_published_ms
from photosynth.energy.prices import PriceComponent, Tariff, cent_per_mwh
from photosynth.energy.recorded_coin_market import RecordedCoinMarket, has_coin_files
from photosynth.energy.recorded_files import RecordedDataError
from photosynth.energy.recorded_market import HOURLY_FILE, RecordedEnergy, RecordedMarket, read_hourly_file
from photosynth.energy.synthetic_market import SyntheticMarket
from photosynth.quantities.instants import INTERVAL_MS, iso_utc, market_day_bounds_ms

TARIFF = Tariff(
    (PriceComponent("levies", 2946, "2026", "2026-01-01"), PriceComponent("tax", 50, "9b", "2026-01-01")),
    premium_cent_per_mwh=1300,
    premium_rule="none_at_negative_price",
    marketing_fee_cent_per_mwh=200,
)
HOURLY = "timestamp_unix,solar_mw_avg,day_ahead_price_eur_mwh\n"
DAY = date(2023, 7, 2)


def write_hourly(folder: Path, year: int, start_ms: int, end_ms: int, leave_out: int | None = None) -> None:
    """An hourly file over a span whose prices count down through zero."""
    lines = []
    for at_ms in range(start_ms, end_ms, 3_600_000):
        if at_ms != leave_out:
            hour = (at_ms - start_ms) // 3_600_000
            lines.append(f"{at_ms // 1000},{hour * 1000}.5,{10 - hour}.005\n")
    (folder / f"de_hourly_price_load_renewables_{year}.csv").write_text(HOURLY + "".join(lines))


def test_prices_are_exact_cents() -> None:
    assert cent_per_mwh(Decimal("29.46")) == 2946
    assert cent_per_mwh("-0.005") == 0
    assert cent_per_mwh("-0.015") == -2
    prices = TARIFF.prices(0, 4_000, "test", None)
    assert prices.import_components == {"spot": 4000, "levies": 2946, "tax": 50}
    assert prices.import_cent_per_mwh == 6996
    assert prices.export_cent_per_mwh == 5100


def test_the_premium_is_zero_in_a_quarter_hour_with_a_negative_price() -> None:
    assert TARIFF.premium_at(0) == 1300
    assert TARIFF.prices(0, -1, "test", None).export_cent_per_mwh == -201


def test_a_synthetic_june_sunday_has_a_negative_noon_and_the_same_seed_the_same_prices() -> None:
    market = SyntheticMarket(TARIFF, 20260614)
    start, end = market_day_bounds_ms(date(2026, 6, 14))
    spots = [market.prices(at_ms).spot_cent_per_mwh for at_ms in range(start, end, INTERVAL_MS)]
    assert len(spots) == 96
    assert all(spot < 0 for spot in spots[44:60])
    assert -4_500 < min(spots) < -3_000
    assert max(spots) > 9_000
    again = SyntheticMarket(TARIFF, 20260614)
    assert [again.prices(at_ms).spot_cent_per_mwh for at_ms in range(start, end, INTERVAL_MS)] == spots
    assert "synthetic" in market.prices(start).source
    assert market.prices(start).published_ms == day_ahead_published_ms(date(2026, 6, 14)) < start
    assert market.prices(market_day_bounds_ms(date(2026, 10, 25))[1] - 1).interval_start_ms


def test_the_hourly_file_alone_gives_a_berlin_day(tmp_path: Path) -> None:
    start, end = market_day_bounds_ms(DAY)
    write_hourly(tmp_path, 2023, start, end)
    market = RecordedMarket(TARIFF, RecordedEnergy(tmp_path))
    market.check(DAY)
    assert market.prices(start + 44 * 60_000).spot_cent_per_mwh == 1000
    assert market.prices(start + 3_600_000).spot_cent_per_mwh == 900
    assert market.prices(end - 1).spot_cent_per_mwh == -1300
    assert market.energy.solar_share(end - 3_600_000, 2023) == 1
    assert "de_hourly" in market.prices(start).source


def test_a_missing_price_is_refused_with_file_and_hour(tmp_path: Path) -> None:
    start, end = market_day_bounds_ms(DAY)
    hole = start + 5 * 3_600_000
    write_hourly(tmp_path, 2023, start, end, leave_out=hole)
    market = RecordedMarket(TARIFF, RecordedEnergy(tmp_path))
    with pytest.raises(RecordedDataError, match=rf"renewables_2023\.csv: no price.*{iso_utc(hole)}.*2023-07-02"):
        market.check(DAY)
    with pytest.raises(RecordedDataError, match=r"renewables_2023\.csv: no solar generation in the hour 2023-07-02T03:00:00Z"):
        market.energy.solar_share(hole, 2023)
    with pytest.raises(RecordedDataError, match=r"renewables_2022\.csv: there is no such file"):
        market.check(date(2022, 7, 2))


def test_the_first_hour_of_a_year_comes_from_the_day_ahead_file(tmp_path: Path) -> None:
    start, end = market_day_bounds_ms(date(2023, 1, 1))
    write_hourly(tmp_path, 2023, start + 3_600_000, end)
    energy = RecordedEnergy(tmp_path)
    with pytest.raises(RecordedDataError, match="2022-12-31T23:00:00Z"):
        energy.price(start)
    (tmp_path / "de_lu_hourly_dayahead_2023.csv").write_text(
        "sdate,stimestart,zone_start,price\n01.01.2023,00:00,CET,-0.5\n01.01.2023,01:00,CET,99\n"
    )
    energy = RecordedEnergy(tmp_path)
    assert energy.price(start) == (Fraction(-5), "de_lu_hourly_dayahead_2023.csv")
    assert energy.price(start + 3_600_000)[0] == Fraction("10.005"), "the hourly file wins"
    assert energy.solar_share(start, 2023) == 0, "it is dark after midnight"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamp_unix,price\n", "lacks the column 'solar_mw_avg'"),
        (HOURLY + "17,0,0\n", "line 2: timestamp_unix is '17'"),
        (HOURLY + "3600,0,cheap\n", "line 2: day_ahead_price_eur_mwh is 'cheap'"),
        (HOURLY + "3600,0,1\n3600,0,1\n", "line 3: the hour 1970-01-01T01:00:00Z is there twice"),
        (HOURLY + "3600,1/0,1\n", "line 2: solar_mw_avg is '1/0'"),
    ],
)
def test_garbled_files_are_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "de_hourly_price_load_renewables_1970.csv").write_text(text)
    with pytest.raises(RecordedDataError, match=message):
        RecordedEnergy(tmp_path).price(3_600_000)


def write_coins(folder: Path) -> None:
    (folder / "btc_price_volume.csv").write_text("date,price,volume\n2024-04-19,60000,1\n2024-04-20,66000.5,1\n2024-04-22,1,1\n")
    (folder / "ecb_eurusd.csv").write_text("date,usd_per_eur\n2024-04-19,1.1\n2024-04-18,1.2\n")
    (folder / "btc_difficulty.csv").write_text("date,difficulty\n2024-04-19,86388558925171.5\n")


def test_a_recorded_quote_takes_the_last_earlier_exchange_rate_and_the_halving(tmp_path: Path) -> None:
    assert not has_coin_files(tmp_path)
    write_coins(tmp_path)
    assert has_coin_files(tmp_path)
    market = RecordedCoinMarket(tmp_path, 2_000_000, "2026-02-12")
    friday, saturday = market.on(date(2024, 4, 19)), market.on(date(2024, 4, 20))
    assert (friday.subsidy_sat, saturday.subsidy_sat) == (625_000_000, 312_500_000)
    assert friday.price_cent_per_btc == 5_454_545
    assert saturday.price_cent_per_btc == 6_000_045
    assert "ecb_eurusd.csv 2024-04-19" in saturday.source
    assert "fees constant as of 2026-02-12" in saturday.source
    assert saturday.fees_sat == 2_000_000
    assert saturday.difficulty == "86388558925171.5"
    with pytest.raises(RecordedDataError, match=r"btc_price_volume\.csv: no price of a coin on 2024-04-21"):
        market.on(date(2024, 4, 21))


def test_fees_of_a_day_are_spread_over_its_blocks(tmp_path: Path) -> None:
    write_coins(tmp_path)
    (tmp_path / "btc_coinmetrics.csv").write_text("active_addresses,fees_btc,tx_count,date\n1,1.44,1,2024-04-19\n")
    quote = RecordedCoinMarket(tmp_path, 2_000_000, "2026-02-12").on(date(2024, 4, 19))
    assert quote.fees_sat == 1_000_000


def test_a_hash_is_worth_what_the_field_says() -> None:
    quote = declared_quote(
        price_cent_per_btc=5_930_000,
        difficulty="125864590119494",
        subsidy_sat=312_500_000,
        fees_sat=2_000_000,
        source="declared",
        as_of_ms=0,
    )
    assert DeclaredCoinMarket(quote).at(10**12) is quote
    expected = Fraction(3145, 1000) * 59_300 / (Fraction(quote.difficulty) * 2**32)
    assert abs(quote.eur_per_hash / expected - 1) < Fraction(1, 10_000)
    assert 7_000 < quote.strike_cent_per_mwh(200 * 10**12, 3_500) < 7_200
    view = outlook(quote, 20 * 10**15)
    assert view.days_per_block == pytest.approx(313, abs=1)
    assert view.chance_of_no_block_in_a_year == pytest.approx(0.311, abs=0.002)
    assert view.sat_per_day == quote.expected_sat(20 * 10**15 * 86_400)
    assert outlook(quote, 0).days_per_block is None


def test_subsidies_halve_on_their_days() -> None:
    assert subsidy_sat(date(2020, 5, 10)) == 1_250_000_000
    assert subsidy_sat(date(2020, 5, 11)) == 625_000_000
    with pytest.raises(ValueError, match="2009-01-03"):
        subsidy_sat(date(2008, 1, 1))
    with pytest.raises(ValueError, match="positive"):
        declared_quote(price_cent_per_btc=1, difficulty="0", subsidy_sat=1, fees_sat=0, source="", as_of_ms=0)


NO_DECIMALS = ["1e999999999", "1_0", "12..3", "0x10", "1/3", "\u0663", "inf", "\u22125", '"12,5"', '"1,234.5"', "."]


@pytest.mark.parametrize("cell", NO_DECIMALS)
def test_a_cell_that_is_no_plain_decimal_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "de_hourly_price_load_renewables_2023.csv"
    path.write_text(HOURLY + f"1688248800,1.0,5\n1688252400,1.0,{cell}\n", encoding="utf-8")
    with pytest.raises(RecordedDataError, match=r"2023\.csv, line 3: day_ahead_price_eur_mwh is .*, which is not a number"):
        RecordedEnergy(tmp_path).price(1688252400000)


@pytest.mark.parametrize(("cell", "value"), [("-.5", "-0.5"), ("+3.", "3"), ("4.97e-08", "0.0000000497"), ("1E3", "1000")])
def test_decimals_as_programs_write_them_are_read_exactly(tmp_path: Path, cell: str, value: str) -> None:
    path = tmp_path / "de_hourly_price_load_renewables_2023.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HOURLY + f"1688252400,1.0,{cell}\n").replace("\n", "\r\n").encode())
    assert RecordedEnergy(tmp_path).price(1688252400000)[0] == Fraction(Decimal(value))


def test_the_strike_price_is_what_a_megawatt_hour_of_hashes_is_worth() -> None:
    eur_per_hash = Fraction(40, 10**6 * 86_400 * 10**12) * 1000  # 0.04 EUR for a TH/s over a day
    per_day_eur, per_day_mwh = Fraction(200 * 4, 100), Fraction(3500 * 24, 10**6)
    assert strike_cent_per_mwh(eur_per_hash, 200 * 10**12, 3500) == per_day_eur * 100 // per_day_mwh
    with pytest.raises(ValueError, match="at least 1 W"):
        strike_cent_per_mwh(eur_per_hash, 200 * 10**12, 0)


def test_a_years_brightest_hour_is_looked_for_once(tmp_path: Path) -> None:
    start, end = market_day_bounds_ms(DAY)
    write_hourly(tmp_path, 2023, start, end)
    looks = 0

    class Hours(dict[int, Fraction]):
        def values(self) -> Any:
            nonlocal looks
            looks += 1
            return super().values()

    read = read_hourly_file(tmp_path / HOURLY_FILE.format(year=2023))
    file = replace(read, solar=Hours(read.solar))
    assert [file.solar_maximum for _ in range(24)] == [read.solar_maximum] * 24
    assert looks == 1
