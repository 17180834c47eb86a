"""Bitcoin: operating any bitcoind (Core, Knots) as a fleet member, and mining on it through JSON-RPC."""
