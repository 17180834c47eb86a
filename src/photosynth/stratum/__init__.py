"""Stratum as miners and pools speak it, sans-I/O: bytes in, events and bytes out. The caller owns sockets and clocks."""
