"""A guest's miner of another project, as recorded: cpuminer 2.5.1 (minerd, sha256d) mined here and its lines are kept.

The share in it was found by that program's own code, so the header that we rebuild from its job must meet its target.
"""

import json

from photosynth.quantities.work import target_of_difficulty
from photosynth.stratum.messages import decode
from photosynth.stratum.server import AuthorizeRequested, ServerSession, Submit
from photosynth.stratum.work import double_sha256, parse_notify

SUBSCRIBE = b'{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}\n'
AUTHORIZE = b'{"id": 2, "method": "mining.authorize", "params": ["guest.1", "x"]}\n'
DIFFICULTY = 0.0009765625
NOTIFY = {
    "job": "100",
    "previous": "802aa7325ccef443ae9429960a357d133230ff0b299e71e9bc8c63239fccbf6a",
    "prefix": "02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1e511c2f"
    "70686f746f73796e74682f00000001",
    "suffix": "ffffffff020000000000000000160014751e76e8199196d454941c45d1b3a323f1433bd6000000000000000026"
    "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000",
    "version": "20000000",
    "bits": "207fffff",
    "time": "6b031785",
}
SUBMIT = b'{"method": "mining.submit", "params": ["guest.1", "100", "0000000000000000", "6b031785", "452d0e00"], "id":4}\n'


def test_its_conversation_is_understood_and_its_share_meets_the_target() -> None:
    pool = ServerSession(b"\x00\x00\x00\x01", 8, 0x1FFFE000)
    assert list(pool.receive(SUBSCRIBE)) == []
    assert pool.user_agent == "cpuminer/2.5.1"
    assert json.loads(pool.outgoing())["result"][1:] == ["00000001", 8]
    (asked,) = pool.receive(AUTHORIZE)
    assert isinstance(asked, AuthorizeRequested)
    pool.authorize(asked, True)
    assert decode(pool.outgoing()).result is True
    assert pool.ready
    (share,) = pool.receive(SUBMIT)
    assert isinstance(share, Submit)
    texts = NOTIFY
    job = parse_notify(
        [
            texts["job"],
            texts["previous"],
            texts["prefix"],
            texts["suffix"],
            [],
            texts["version"],
            texts["bits"],
            texts["time"],
            True,
        ]
    )
    assert share.job == int(job.id, 16)
    coinbase = job.coinbase_prefix + pool.extranonce1 + share.extranonce2 + job.coinbase_suffix
    header = (
        job.version.to_bytes(4, "little")
        + job.previous_hash
        + double_sha256(coinbase)
        + share.time_s.to_bytes(4, "little")
        + job.bits.to_bytes(4, "little")
        + share.nonce.to_bytes(4, "little")
    )
    assert int.from_bytes(double_sha256(header), "little") <= target_of_difficulty(DIFFICULTY)
