"""The Bitcoin formats, sans-I/O, and the protocol by which the rest of the system speaks to a node."""
