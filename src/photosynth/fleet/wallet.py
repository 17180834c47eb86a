"""The wallets of a fleet: scripts of one party on one network. A key never stands in them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.settings.part import Part
from photosynth.settings.units import mistake, shown
from photosynth.settings.values import STANDARD_SCRIPT, Id, Script

PUBLISHED_TEST_SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
"""Pays the private key 1 (BIP173's test vector): anybody can spend it, so it is for demonstrations alone."""


class Wallet(Part):
    """Addresses of one party on one network: own or a client's, hot or cold."""

    id: Id
    """Its name, once in the fleet."""
    network: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Which network, like bitcoin."""
    chain: Annotated[str, Field(min_length=1, max_length=60)]
    """Which of the network's chains."""
    script: Script | None = None
    """Output script, in hexadecimal and quotes."""
    address: str | None = Field(default=None, min_length=14, max_length=100)
    """The same as an address of the chain."""
    descriptor: str | None = Field(default=None, min_length=5, max_length=300)
    """The same as a descriptor of one script, `addr(...)` or `raw(...)` (BIP380, BIP385)."""
    party: Id
    """Whose it is."""
    custody: Literal["own", "client"] = "own"
    """Whether what lies there is the operator's own or kept for a client."""
    storage: Literal["hot", "cold"] = "cold"
    """Whether its keys are kept on a machine that is online."""
    birth_height: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """The first block that the books read for it; what it holds before is its opening balance. Without, they read all."""

    @model_validator(mode="after")
    def _one_script(self) -> "Wallet":
        given = [key for key in ("script", "address", "descriptor") if getattr(self, key) is not None]
        if len(given) != 1:
            raise mistake(
                "a wallet needs exactly one of script, address and descriptor",
                "Keep one of them",
                given[-1] if given else None,
            )
        if self.network == "bitcoin" and self.output_script() == PUBLISHED_TEST_SCRIPT and self.chain != "regtest":
            raise mistake(
                f"the wallet on {self.chain} is a published test key that anybody can spend",
                "Write a script of your own wallet",
                given[0],
            )
        return self

    def destination(self) -> str:
        """Where it is paid: a Bitcoin output script in hexadecimal, an address of another network as it was written."""
        if self.network == "bitcoin":
            return self.output_script().hex()
        return self.address or self.descriptor or (self.script or b"").hex()

    def output_script(self) -> bytes:
        """The output script of a Bitcoin wallet. Raises a mistake where it is none of the chain."""
        if self.script is not None:
            return self.script
        if self.address is not None:
            return _script_of(self.address, self.chain, "address")
        return _script_of(self.descriptor or "", self.chain, "descriptor")


def _script_of(text: str, chain: str, key: str) -> bytes:
    from photosynth.bitcoin.address import CHAINS, script_of_address
    from photosynth.bitcoin.descriptor import script_of_descriptor

    if chain not in CHAINS:
        raise mistake(f"{shown(chain)} is not a chain of bitcoin", f"Write {', '.join(CHAINS)}", "chain")
    try:
        script = script_of_address(text, CHAINS[chain]) if key == "address" else script_of_descriptor(text, CHAINS[chain])
    except ValueError as error:
        raise mistake(
            f"{shown(text)} is not {'an address' if key == 'address' else 'a descriptor'} of {chain}: {error}",
            "Copy it from your wallet again, or give script",
            key,
        ) from None
    if not STANDARD_SCRIPT.fullmatch(script.hex()):
        what = f"{shown(text)} stands for a script of no standard kind, whose coins nobody or anybody may spend"
        raise mistake(what, "Give the address of your wallet", key)
    return script
