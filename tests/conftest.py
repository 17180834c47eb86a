"""What all tests share: the peers, real software that tests run beside us."""

pytest_plugins = ["tests.peers.bitcoind"]
