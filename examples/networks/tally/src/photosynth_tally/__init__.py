"""Tally, a network of counters."""
