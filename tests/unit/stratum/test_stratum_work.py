"""Headers as miners build them, against blocks that the whole network has."""

import pytest

from photosynth.stratum.work import (
    Job,
    double_sha256,
    fold_branch,
    notify_params,
    parse_notify,
    parse_word,
    swap_words,
)

# Mainnet's block 1: header and coinbase as every node has them.
BLOCK_1_HASH = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
BLOCK_1_COINBASE = (
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0104"
    "ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8be7947be63c52"
    "da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000"
)
BLOCK_1_TIME, BLOCK_1_NONCE = 0x4966BC61, 0x9962E301


def block_1_as_a_job() -> Job:
    """Block 1 cut before the last byte of its coinbase's script, as if that were the extranonce2."""
    head, tail = BLOCK_1_COINBASE.split("0104ffffffff01")
    return Job(
        id="b1",
        previous_hash=bytes.fromhex(GENESIS_HASH)[::-1],
        coinbase_prefix=bytes.fromhex(head),
        coinbase_suffix=bytes.fromhex("ffffffff01" + tail),
        branch=(),
        version=1,
        bits=0x1D00FFFF,
        time_s=BLOCK_1_TIME,
        clean=True,
        extranonce1=b"\x01",
        extranonce2_size=1,
    )


def test_block_1_of_mainnet_is_rebuilt_from_its_job() -> None:
    header = block_1_as_a_job().header_prefix(b"\x04") + BLOCK_1_NONCE.to_bytes(4, "little")
    assert len(header) == 80
    assert double_sha256(header)[::-1].hex() == BLOCK_1_HASH


def test_notify_round_trips_and_swaps_the_previous_hash_by_words() -> None:
    job = block_1_as_a_job()
    params = notify_params(job)
    # The previous hash as pools send it: the reversed text's 8-digit groups in opposite order.
    groups = [GENESIS_HASH[at : at + 8] for at in range(0, 64, 8)]
    assert params[1] == "".join(reversed(groups))
    assert params[5:8] == ["00000001", "1d00ffff", "4966bc61"]
    parsed = parse_notify(params)
    assert (parsed.previous_hash, parsed.coinbase_prefix, parsed.time_s) == (
        job.previous_hash, job.coinbase_prefix, job.time_s,
    )  # fmt: skip


def test_a_branch_folds_to_the_root_of_block_100000() -> None:
    # Mainnet's block 100,000 has four transactions; ids and root as block explorers show them.
    txids = [
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    ]
    one, two, three, four = (bytes.fromhex(text)[::-1] for text in txids)
    root = fold_branch(one, (two, double_sha256(three + four)))
    assert root[::-1].hex() == "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"


def test_swapping_words_twice_changes_nothing() -> None:
    value = bytes(range(32))
    assert swap_words(value)[:4] == bytes([3, 2, 1, 0])
    assert swap_words(swap_words(value)) == value


def test_rolled_bits_stay_inside_the_mask() -> None:
    job = Job("1", bytes(32), b"", b"", (), 0x20000004, 0, 0, True, version_mask=0x1FFFE000)
    version = int.from_bytes(job.header_prefix(bytes(4), version_bits=0xFFFFFFFF)[:4], "little")
    assert version == 0x20000004 | 0x1FFFE000


@pytest.mark.parametrize("text", ["", "123456789", "-1", " 12", "1_0", "+1", "ü", "12\n"])
def test_words_are_plain_hexadecimal(text: str) -> None:
    with pytest.raises(ValueError, match=r"hex|base 16"):
        parse_word(text)
