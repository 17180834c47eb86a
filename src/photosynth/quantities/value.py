"""What energy and coins are worth: base units times a price, rounded half to even."""

SAT_PER_BTC = 100_000_000
UEUR_PER_EUR = 1_000_000
JOULES_PER_KWH = 3_600_000
JOULES_PER_MWH = 3_600_000_000


def divide_half_even(numerator: int, denominator: int) -> int:
    """Divide exactly by a positive integer and round to the nearest one, halves to the even one, for either sign."""
    if denominator <= 0:
        raise ValueError(f"{denominator} is no positive denominator")
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole & 1))


def energy_value_ueur(energy_j: int, price_cent_per_mwh: int) -> int:
    """Value energy (joules, signed) at a price (cent/MWh, may be negative) in micro-EUR: J x p / 360000."""
    return divide_half_even(energy_j * price_cent_per_mwh, 360_000)


def coins_value_ueur(amount_sat: int, price_cent_per_btc: int) -> int:
    """Value coins (satoshis) at a price (cent/BTC) in micro-EUR: sat x p / 10^4."""
    return divide_half_even(amount_sat * price_cent_per_btc, 10_000)
