"""The index: undoing a block leaves exactly what was there before it, whatever the block spent."""

import random
from pathlib import Path

import pytest
from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE, hash_of, make_block

from photosynth.bitcoin.block import Block, Header
from photosynth.bitcoin.node import Coin
from photosynth.bitcoin.outline import outline_of
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin_node.coins import IndexDamagedError, spendable
from photosynth.bitcoin_node.index import Entry, Index

SCRIPTS = [bytes((0x51 + number,)) for number in range(4)]
GENESIS = make_block(bytes(32), 0, value_sat=50)


def open_index(folder: Path) -> Index:
    index = Index(folder)
    if index.tip() is None:
        connect(index, GENESIS, 0, 0)
    return index


def connect(index: Index, raw: bytes, height: int, offset: int) -> None:
    with index.write() as batch:
        batch.enter(hash_of(raw), Entry(height, offset, raw[:80]))
        batch.connect(hash_of(raw), height, raw, outline_of(raw))


def disconnect(index: Index, raw: bytes) -> None:
    with index.write() as batch:
        batch.disconnect(hash_of(raw), outline_of(raw))


def all_coins(index: Index) -> dict[bytes, tuple[Coin, ...]]:
    return {script: index.coins.of(script) for script in SCRIPTS}


def random_transactions(chance: random.Random, spendable_now: list[tuple[bytes, int]]) -> list[Transaction]:
    """Up to three transactions, which may spend one another's outputs within the block."""
    made: list[Transaction] = []
    for _ in range(chance.randrange(4)):
        if not spendable_now:
            break
        chance.shuffle(spendable_now)
        inputs = [spendable_now.pop() for _ in range(min(len(spendable_now), chance.randint(1, 3)))]
        outputs = tuple(TxOut(chance.randrange(1000), chance.choice(SCRIPTS)) for _ in range(chance.randint(1, 3)))
        burnt = (TxOut(0, b"\x6aburnt"),) * chance.randrange(2)
        transaction = Transaction(2, tuple(TxIn(txid, number) for txid, number in inputs), outputs + burnt)
        made.append(transaction)
        spendable_now += [(transaction.txid, number) for number in range(len(outputs))]
    return made


def random_chain(chance: random.Random, length: int) -> list[bytes]:
    previous, coins, chain = hash_of(GENESIS), list[tuple[bytes, int]](), []
    for height in range(1, length + 1):
        transactions = random_transactions(chance, coins)
        raw = make_block(previous, height, value_sat=height, script=chance.choice(SCRIPTS), transactions=transactions)
        coins.append((Block.parse(raw).transactions[0].txid, 0))
        chain.append(raw)
        previous = hash_of(raw)
    return chain


def write_coins(index: Index) -> None:
    with index.write() as batch:
        batch.write_coins()


@pytest.mark.parametrize("seed", range(10))
def test_undoing_equals_computing_anew(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    chain = random_chain(chance, 25)
    index = open_index(tmp_path)
    after = [all_coins(index)]
    for height, raw in enumerate(chain, 1):
        connect(index, raw, height, height)
        if chance.random() < 0.2:
            write_coins(index)
        after.append(all_coins(index))
    assert sum(map(len, after[-1].values())) > 5
    down_to = chance.randrange(20)
    for height in range(len(chain), down_to, -1):
        disconnect(index, chain[height - 1])
        if chance.random() < 0.2:
            write_coins(index)
        assert all_coins(index) == after[height - 1], height
    tip = index.tip()
    assert tip is not None
    assert (tip.height, index.hash_at(down_to), index.hash_at(down_to + 1)) == (down_to, tip.hash, None)
    for height in range(down_to + 1, len(chain) + 1):
        connect(index, chain[height - 1], height, height)
    assert all_coins(index) == after[-1]
    write_coins(index)
    assert index.coins.pending == 0
    assert all_coins(index) == after[-1]
    index.close()


def test_coins_are_those_of_exactly_one_script_and_survive_a_reopening(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    raw = make_block(hash_of(GENESIS), 1, value_sat=7, script=ANYONE)
    connect(index, raw, 1, 99)
    write_coins(index)
    index.close()
    index = open_index(tmp_path)
    assert index.coins.of(ANYONE) == (Coin(Block.parse(raw).transactions[0].txid, 0, 7, 1, coinbase=True),)
    assert index.coins.of(ANYONE + ANYONE) == index.coins.of(b"") == ()
    entry = index.entry(hash_of(raw))
    assert entry is not None
    assert (entry.height, entry.offset, entry.header) == (1, 99, Header.parse(raw[:80]))
    assert index.entry(bytes(32)) is None
    assert index.hashes(1) == [hash_of(raw)]
    assert index.hashes(0) == [hash_of(GENESIS), hash_of(raw)]
    assert index.hashes(2) == []
    assert index.hash_at(-1) is index.hash_at(1 << 32) is None
    index.close()


@pytest.mark.parametrize("written", [0, 1, 9, 10])
def test_coins_that_were_in_memory_are_not_known_until_they_are_computed_again(tmp_path: Path, written: int) -> None:
    chance = random.Random(4)
    chain = random_chain(chance, 10)
    index = open_index(tmp_path)
    for height, raw in enumerate(chain, 1):
        connect(index, raw, height, height)
        if height == written:
            write_coins(index)
    before = all_coins(index)
    index.close()
    index = open_index(tmp_path)
    assert index.coins_height == written
    if written < 10:
        with pytest.raises(IndexDamagedError, match="not known until"):
            index.coins.of(ANYONE)
    index.begin_coins_again()
    for height in range(written + 1, 11):
        with index.write() as batch:
            batch.connect_coins(height, outline_of(chain[height - 1]))
    assert all_coins(index) == before
    index.close()


def test_a_batch_that_fails_leaves_the_coins_unknown_rather_than_wrong(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    raw = make_block(hash_of(GENESIS), 1, value_sat=7)

    def changed_and_failed() -> None:
        with index.write() as batch:
            batch.connect(hash_of(raw), 1, raw, outline_of(raw))
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        changed_and_failed()
    with pytest.raises(IndexDamagedError, match="not known until"):
        index.coins.of(ANYONE)
    index.begin_coins_again()
    assert index.coins.of(ANYONE) == ()
    index.close()


def test_the_genesis_output_and_what_can_never_be_spent_are_no_coins(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    assert index.coins.of(ANYONE) == ()
    assert not spendable(b"\x6a")
    assert not spendable(bytes(10_001))
    assert spendable(b"")
    index.close()


def test_a_batch_that_fails_changes_nothing(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    raw = make_block(hash_of(GENESIS), 1, transactions=[Transaction(2, (TxIn(bytes(32), 0),), ())])
    with pytest.raises(IndexDamagedError, match="is spent and not in the index"):
        connect(index, raw, 1, 0)
    assert index.entry(hash_of(raw)) is None
    tip = index.tip()
    assert tip is not None
    assert tip.hash == hash_of(GENESIS)
    with pytest.raises(IndexDamagedError, match="does not follow on the index's tip"):
        connect(index, make_block(bytes(32), 2), 2, 0)
    with pytest.raises(IndexDamagedError, match="is not the index's tip"):
        disconnect(index, raw)
    index.close()
