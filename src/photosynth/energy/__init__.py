"""Energy: meters, prices, markets, what coins are worth, and the dispatch that decides who runs.

Everything is integers with units: joules, watts, cent per megawatt-hour. Nothing here knows whether a site is simulated.
"""
