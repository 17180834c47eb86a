"""Descriptors of one script, by BIP380's published vectors and against addresses."""

import pytest

from photosynth.bitcoin.descriptor import checksum, script_of_descriptor
from photosynth.bitcoin.wire import FormatError

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SCRIPT = "0014751e76e8199196d454941c45d1b3a323f1433bd6"


def test_the_published_checksum_holds() -> None:
    assert checksum("raw(deadbeef)") == "89f8spxm"  # BIP380, test vectors


@pytest.mark.parametrize("text", [f"addr({ADDRESS})", f"raw({SCRIPT})"])
def test_address_and_raw_script_with_and_without_checksum(text: str) -> None:
    assert script_of_descriptor(text, "regtest").hex() == SCRIPT
    assert script_of_descriptor(f"{text}#{checksum(text)}", "regtest").hex() == SCRIPT


@pytest.mark.parametrize(
    "text",
    [
        "raw(deadbeef)#",  # BIP380: no checksum after the mark
        "raw(deadbeef)#89f8spxmx",  # one character too many
        "raw(deadbeef)#89f8spx",  # one too few
        "raw(dedbeef)#89f8spxm",  # an error in the text
        "raw(deadbeef)##9f8spxm",  # an error in the checksum
        "raw(Ü)#00000000",  # a character that no descriptor has
        "raw(abc)",
        "wpkh(xpub)",
        f"addr({ADDRESS[:-1]})",
        "addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)",  # of the main chain
        "",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        script_of_descriptor(text, "regtest")
