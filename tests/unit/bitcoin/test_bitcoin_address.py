"""Addresses: the examples of BIP173 and BIP350, both directions, and every way to be wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.bitcoin.address import Chain, address_of_script, base58check_encode, script_of_address
from photosynth.bitcoin.bech32 import from_groups, to_groups
from photosynth.bitcoin.wire import FormatError

VECTORS = Path(__file__).parents[4] / "shared" / "vectors"
CHAINS: tuple[Chain, ...] = ("main", "test", "testnet4", "signet", "regtest")


@pytest.mark.parametrize(
    ("address", "chain", "script"),
    [
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "main", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "test",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            "main",
            "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        ("BC1SW50QGDZ25J", "main", "6002751e"),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "main", "5210751e76e8199196d454941c45d1b3a323"),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "main",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "regtest", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "main", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
    ],
)
def test_published_addresses(address: str, chain: Chain, script: str) -> None:
    assert script_of_address(address, chain).hex() == script
    shown = address_of_script(bytes.fromhex(script), chain)
    assert shown == (address.lower() if address.lower().startswith(("bc1", "tb1", "bcrt1")) else address)


@pytest.mark.parametrize(
    "address",
    [
        "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN0",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
        "bc1" + "q" * 100,
        "1" * 60,
        "bc1\x00",
        "bc1",
        "",
        "1",
        base58check_encode(b"\x00" * 20),
    ],
)
def test_what_is_not_an_address_of_the_main_chain(address: str) -> None:
    with pytest.raises(FormatError) as caught:
        script_of_address(address, "main")
    assert 0 <= caught.value.offset <= len(address)


def refusal(text: str, chain: Chain) -> FormatError | None:
    try:
        script_of_address(text, chain)
    except FormatError as error:
        return error
    return None


@settings(max_examples=40)
@given(st.text(max_size=120))
def test_any_text_gives_a_script_or_the_one_error(text: str) -> None:
    for chain in CHAINS:
        refused = refusal(text, chain)
        assert refused is None or 0 <= refused.offset <= len(text)


@given(st.sampled_from(CHAINS), st.integers(0, 16), st.binary(min_size=2, max_size=40))
def test_witness_addresses_round_trip(chain: Chain, version: int, program: bytes) -> None:
    script = bytes([0x50 + version if version else 0, len(program)]) + program
    address = address_of_script(script, chain)
    if version == 0 and len(program) not in (20, 32):
        assert address is None
    else:
        assert address is not None
        assert script_of_address(address, chain) == script
        assert script_of_address(address.upper(), chain) == script


@given(st.sampled_from(CHAINS), st.binary(min_size=20, max_size=20))
def test_older_addresses_round_trip(chain: Chain, digest: bytes) -> None:
    for script in (b"\x76\xa9\x14" + digest + b"\x88\xac", b"\xa9\x14" + digest + b"\x87"):
        address = address_of_script(script, chain)
        assert address is not None
        assert script_of_address(address, chain) == script


@given(st.binary(max_size=60))
def test_a_script_has_at_most_the_address_that_leads_back_to_it(script: bytes) -> None:
    address = address_of_script(script, "regtest")
    assert address is None or script_of_address(address, "regtest") == script


@given(st.binary(max_size=60))
def test_five_bit_groups_round_trip(data: bytes) -> None:
    assert from_groups(to_groups(data)) == data


def test_taproot_addresses_of_bip341() -> None:
    path = VECTORS / "bips" / "bip-0341_wallet-test-vectors.json"
    if not path.exists():
        pytest.skip("the published vectors of BIP341 are not beside the repository (../shared/vectors)")
    for case in json.loads(path.read_text())["scriptPubKey"]:
        expected = case["expected"]
        assert script_of_address(expected["bip350Address"], "main").hex() == expected["scriptPubKey"]
        assert address_of_script(bytes.fromhex(expected["scriptPubKey"]), "main") == expected["bip350Address"]
