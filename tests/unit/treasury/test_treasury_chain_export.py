"""A file of evidence against an export of the chain: what the books have in it is there, by headers alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.treasury.treasury_site import CHAIN, COIN, OTHER, WALLET, DemoSite, as_node, make_block

from photosynth.bitcoin.block import Block
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, verify
from photosynth.treasury.evidence.report import VerifyReport

HEADER = 160
"""Characters of a header."""


@dataclass
class Chained:
    """An export of evidence with two blocks of ours and one of nobody's pool that pays us, and the blocks of its chain."""

    evidence: Path
    site_alone: Path
    blocks: list[bytes]
    folder: Path

    def against(self, lines: list[str], file: Path | None = None) -> VerifyReport:
        """What is said of the file held against these lines."""
        path = self.folder / "chain"
        path.write_text("".join(f"{line}\n" for line in lines))
        return verify(file or self.evidence, chain=path)

    @property
    def whole(self) -> list[str]:
        """The export of whole blocks."""
        return [block.hex() for block in self.blocks]

    @property
    def headers(self) -> list[str]:
        """The export of headers alone."""
        return [line[:HEADER] for line in self.whole]


@pytest_asyncio.fixture
async def chained(db: Database, tmp_path: Path) -> AsyncIterator[Chained]:
    site, run = DemoSite(db), DatabaseThread()
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 3, "hall-a-01": 1}))
        site.find_block(tx)
    site.node.add(make_block(site.node.chain[-1], 2, 77))
    site.node.add(make_block(site.node.chain[-1], 3, 5, script=OTHER))
    with db.begin() as tx:
        facts = site.facts({"guest": 3, "hall-a-01": 1})
        site.find_block(tx)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, facts)
    path = tmp_path / "evidence.jsonl"
    with db.read() as tx:
        site.export(tx, path)
        site.export(tx, path.with_suffix(".site"), "backnang")
    run.close()
    yield Chained(path, path.with_suffix(".site"), [site.node.blocks[name] for name in site.node.chain[1:]], tmp_path)


@pytest.mark.parametrize("whole", [False, True])
async def test_headers_alone_show_that_the_blocks_are_in_the_chain(chained: Chained, whole: bool) -> None:
    report = chained.against(chained.whole if whole else chained.headers)
    assert (report.exit_code, report.reason) == (0, None)
    assert report.chain is not None
    assert (report.chain.chain, report.chain.blocks, report.chain.standing) == ("bitcoin/regtest", 4, 3)
    assert (report.chain.later, report.chain.earlier) == ((0, 0) if whole else (None, None))
    assert report.chain.work_hashes == 8, "regtest's work is two hashes a block"
    assert report.document()["chain"]["work_hashes"] == "8"
    assert any("3 blocks that the books have in a chain are in the headers" in sentence for sentence in report.proven)
    assert any("do not show whom a block pays" in sentence for sentence in report.trusted) is not whole


async def test_later_blocks_are_counted_and_not_refused(chained: Chained) -> None:
    more = [make_block(Block.parse(chained.blocks[-1]).hash, 5, 9)]
    more.append(make_block(Block.parse(more[-1]).hash, 6, 9, script=OTHER))
    report = chained.against([*chained.whole, *(block.hex() for block in more)])
    assert report.reason is None
    assert report.chain is not None
    assert (report.chain.later, report.chain.earlier) == (1, 0)
    assert any("1 later block pays" in sentence for sentence in report.trusted)
    assert chained.against([*chained.headers, *(block.hex()[:HEADER] for block in more)]).exit_code == 0


async def test_a_block_of_the_books_that_the_chain_lacks_is_named(chained: Chained) -> None:
    for cut in (3, 1):
        report = chained.against(chained.headers[:cut])
        assert report.exit_code == 1
        assert report.failed_line is None
        assert "which the file has in the chain, is not in it" in str(report.reason)
    assert "and 1 more" in str(report.reason)
    other = make_block(Block.parse(chained.blocks[2]).hash, 4, 5, script=OTHER)
    assert "block 4 (" in str(chained.against([*chained.headers[:3], other.hex()[:HEADER]]).reason)


async def test_headers_that_do_not_link_or_do_not_meet_their_target_are_refused(chained: Chained) -> None:
    lines = chained.headers
    assert "block 2 does not stand on the block before it" in str(chained.against([lines[0], *lines[2:]]).reason)
    assert "genesis block of no chain of the file" in str(chained.against(lines[1:]).reason)
    assert "does not stand on" in str(chained.against([lines[0], lines[0]]).reason)
    lame = Block.parse(chained.blocks[-1]).header
    while lame.hash_number < 1 << 255:
        lame = replace(lame, nonce=lame.nonce + 1)
    assert "does not meet its own target" in str(chained.against([*lines[:-1], lame.serialise().hex()]).reason)
    header = bytearray(bytes.fromhex(lines[-1]))
    header[72:76] = bytes(4)
    assert "block 4: " in str(chained.against([*lines[:-1], bytes(header).hex()]).reason)


@pytest.mark.parametrize("content", [b"", b"\n", b"xyz\n", b"00" * 79 + b"\n", b"\xff" * 200, b"00" * 80, b"0" * 161 + b"\n"])
async def test_another_file_is_no_chain(chained: Chained, content: bytes) -> None:
    path = chained.folder / "other"
    path.write_bytes(content)
    report = verify(chained.evidence, chain=path)
    # Eighty zeros are a header, and of no chain that the file knows.
    assert report.exit_code == (1 if content == b"00" * 80 else 2)
    assert report.reason
    assert (report.is_evidence, report.holds, report.is_chain) == (True, False, content == b"00" * 80)
    assert verify(chained.evidence, chain=chained.folder / "none").exit_code == 2


async def test_a_file_that_does_not_hold_is_not_held_against_anything(chained: Chained) -> None:
    chained.evidence.write_bytes(chained.evidence.read_bytes()[:-2])
    report = chained.against(chained.headers)
    assert (report.exit_code, report.chain) == (1, None)
    assert report.failed_line is not None


async def test_a_site_alone_says_which_of_its_blocks_are_in_the_chain(chained: Chained) -> None:
    report = chained.against(chained.headers, chained.site_alone)
    assert report.reason is None
    assert report.chain is not None
    assert (report.chain.standing, report.chain.others, report.chain.others_found) == (0, 2, 2)
    assert chained.against(chained.headers[:1], chained.site_alone).exit_code == 0, "it does not say that they stand"
    whole = chained.against(chained.whole, chained.site_alone)
    assert whole.chain is not None
    assert (whole.chain.later, whole.chain.earlier) == (0, 1), "nobody's pool is in the books alone"
