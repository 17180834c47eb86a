"""Exact integers with units: the words every other package counts in.

A plain ``int`` whose name ends in its unit is the whole type system of quantities here: ``_sat`` satoshis, ``_ueur``
micro-EUR, ``_j`` joules, ``_w`` watts, ``_ms`` milliseconds since the epoch (UTC), ``_s`` seconds, ``_hs`` hashes per
second, ``_cent_per_mwh`` and ``_cent_per_btc`` prices. No float is money, energy or work.
"""
