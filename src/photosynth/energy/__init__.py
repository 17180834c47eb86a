"""Energy: meters, prices, markets, what coins are worth, and the dispatch that decides who runs.

Everything is integers with units: joules, watts, cent per megawatt-hour. Nothing here knows whether a site is simulated.
A new meter is a module whose driver ``meter_driver.METERS`` names, a new market one in ``market_kind.MARKETS``, a new kind of
source one in ``source_kind.SOURCES``.
"""
