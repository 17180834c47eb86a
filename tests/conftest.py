"""What all tests share: the peers, real software that tests run beside us, and no deadline for property tests."""

from hypothesis import settings

pytest_plugins = ["tests.peers.bitcoind"]

settings.register_profile("photosynth", deadline=None)
settings.load_profile("photosynth")
