"""The block log: what was synced is read back whole, whatever happened to the bytes after it."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.bitcoin_node.block_log import HEAD_BYTES, MAX_RECORD, START, BlockLog, BlockLogError, Damage, Record

NETWORK = b"test"
blocks_strategy = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8)


def write_log(path: Path, blocks: list[bytes]) -> list[int]:
    path.unlink(missing_ok=True)
    log = BlockLog(path, NETWORK)
    ends = [log.append(raw).end for raw in blocks]
    log.sync()
    log.close()
    return ends


def read_log(path: Path) -> tuple[list[bytes], int]:
    log = BlockLog(path, NETWORK)
    cut = log.cut_torn_tail(START)
    found = whole(log)
    log.close()
    return found, cut


def whole(log: BlockLog) -> list[bytes]:
    return [part.raw for part in log.records() if isinstance(part, Record)]


@given(blocks_strategy)
def test_what_was_appended_is_read_back(tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "blocks.log"
    write_log(path, blocks)
    assert read_log(path) == (blocks, 0)


@settings(max_examples=60)
@given(blocks_strategy, st.data())
def test_a_tail_torn_anywhere_leaves_the_whole_records_before_it(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "blocks.log"
    ends = write_log(path, blocks)
    size = data.draw(st.integers(START, ends[-1]))
    os.truncate(path, size)
    left = [raw for raw, end in zip(blocks, ends, strict=True) if end <= size]
    found, cut = read_log(path)
    assert found == left
    assert cut == size - max([START, *(end for end in ends if end <= size)])
    assert read_log(path) == (left, 0), "the cut is made once"


@settings(max_examples=100)
@given(blocks_strategy, st.data())
def test_a_flipped_byte_costs_no_other_record_and_is_only_cut_off_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "blocks.log"
    ends = write_log(path, blocks)
    at = data.draw(st.integers(0, ends[-1] - 1))
    before = path.read_bytes()
    content = bytearray(before)
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    starts = [START, *ends[:-1]]
    struck = [number for number, (start, end) in enumerate(zip(starts, ends, strict=True)) if start + 8 <= at < end]
    found, cut = read_log(path)
    assert found == [raw for number, raw in enumerate(blocks) if number not in struck]
    if struck == [len(blocks) - 1]:
        assert cut == ends[-1] - starts[-1]
        assert path.with_name("blocks.log.cut").read_bytes() == bytes(content[len(content) - cut :])
    else:
        assert cut == 0
        assert path.read_bytes() == (before if at < START else content), "nothing is changed but a mended head"


@pytest.mark.parametrize("struck", [1, 2, 3])
def test_what_is_damaged_in_the_middle_can_be_written_anew(tmp_path: Path, struck: int) -> None:
    path = tmp_path / "blocks.log"
    blocks = [bytes([number]) * (100 + number) for number in range(5)]
    ends = write_log(path, blocks)
    before = path.read_bytes()
    content = bytearray(before)
    content[ends[0] : ends[struck]] = bytes(ends[struck] - ends[0])
    path.write_bytes(content)
    log = BlockLog(path, NETWORK)
    assert log.cut_torn_tail(START) == 0
    damages = [part for part in log.records() if isinstance(part, Damage)]
    assert [(damage.offset, damage.end) for damage in damages] == [(ends[0], ends[struck])]
    assert not log.fits(damages[0], blocks[1:struck])
    with pytest.raises(ValueError, match="do not take the place"):
        log.mend(damages[0], blocks[1:struck])
    mended = log.mend(damages[0], blocks[1 : struck + 1])
    assert [record.raw for record in mended] == blocks[1 : struck + 1]
    assert path.read_bytes() == before
    log.close()


def test_what_holds_the_mark_of_another_record_is_no_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    ends = write_log(path, [b"first", b"second", b"third"])
    content = bytearray(path.read_bytes())
    content[ends[0] + HEAD_BYTES] ^= 1
    content[ends[1] + HEAD_BYTES] ^= 1
    path.write_bytes(content)
    assert read_log(path) == ([b"first"], 0), "a record is begun when the one before it is on disk"
    assert path.read_bytes() == bytes(content)


def test_bytes_of_a_block_that_look_like_a_record_are_none(tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    write_log(other, [b"a record within a block"])
    path = tmp_path / "blocks.log"
    ends = write_log(path, [b"first", other.read_bytes()])
    os.truncate(path, ends[-1] - 1)
    found, cut = read_log(path)
    assert (found, cut) == ([b"first"], ends[-1] - 1 - ends[0]), "torn, although a whole record seems to follow"


def test_a_damaged_record_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    write_log(path, [b"first", b"second"])
    content = bytearray(path.read_bytes())
    content[START + HEAD_BYTES] ^= 1
    path.write_bytes(content)
    log = BlockLog(path, NETWORK)
    with pytest.raises(BlockLogError, match=rf"blocks\.log is damaged at byte {START}"):
        log.read(START)
    log.close()


@pytest.mark.parametrize("content", [b"another file entirely", b"PSBLOCK1main"])
def test_another_file_and_another_chains_log_are_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "blocks.log"
    path.write_bytes(content)
    with pytest.raises(BlockLogError, match="not a block log of this chain"):
        BlockLog(path, NETWORK)
    assert path.read_bytes() == content


def test_a_first_line_torn_by_a_crash_starts_the_log_anew(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    path.write_bytes(b"PSBLO")
    assert read_log(path) == ([], 0)


@pytest.mark.parametrize("raw", [b"", bytes(MAX_RECORD + 1)])
def test_no_block_has_such_a_size(tmp_path: Path, raw: bytes) -> None:
    log = BlockLog(tmp_path / "blocks.log", NETWORK)
    with pytest.raises(ValueError, match="a block has 1 to 4000000 bytes"):
        log.append(raw)
    log.close()


def test_a_block_taken_back_is_gone(tmp_path: Path) -> None:
    log = BlockLog(tmp_path / "blocks.log", NETWORK)
    first, second = log.append(b"first"), log.append(b"second")
    log.truncate(second.offset)
    third = log.append(b"third")
    assert (third.offset, whole(log)) == (first.end, [b"first", b"third"])
    log.close()
    log.close()


def test_a_full_disk_leaves_nothing_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BlockLog(tmp_path / "blocks.log", NETWORK)
    log.append(b"first")
    real = os.pwrite

    def half_then_full(file: int, data: bytes, offset: int) -> int:
        if offset > log.end:
            raise OSError(28, "No space left on device")
        return real(file, bytes(data)[:3], offset)

    monkeypatch.setattr(os, "pwrite", half_then_full)
    end = log.end
    with pytest.raises(OSError, match="No space left"):
        log.append(b"second")
    assert (log.end, log.path.stat().st_size) == (end, end)
    monkeypatch.undo()
    log.append(b"third")
    assert whole(log) == [b"first", b"third"]
    log.close()
