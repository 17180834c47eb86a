"""Groups of records in the block log: a torn one is cut off at its first damage, and nothing that was closed ever is."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bitcoin_node.bitcoin_node_folders import flip

from photosynth.bitcoin_node.block_log import HEAD_BYTES, START, BlockLog, Record
from photosynth.bitcoin_node.group_note import GroupNote, Noted

NETWORK = b"test"
PAGE = 512
NOTE_BYTES = 29
some_blocks = st.lists(st.binary(min_size=1, max_size=900), min_size=2, max_size=8)


def write_group(path: Path, before: list[bytes], group: list[bytes], *, ended: bool) -> list[int]:
    """A log of blocks that were synced one by one, and a group; where the group's records start, and its end."""
    for left in path.parent.glob(path.name + "*"):
        left.unlink()
    log = BlockLog(path, NETWORK)
    for raw in before:
        log.append(raw)
        log.sync()
    log.begin_group()
    offsets = [log.append(raw).offset for raw in group]
    if ended:
        log.end_group()
    end = log.end
    log.close()
    return [*offsets, end]


def opened(path: Path, indexed_end: int = START) -> tuple[list[bytes], int]:
    """The whole records and the bytes cut, as after a start that read all of the log."""
    log = BlockLog(path, NETWORK)
    cut = log.cut_torn_tail(indexed_end)
    found = [part.raw for part in log.records() if isinstance(part, Record)]
    log.settle_group()
    log.close()
    return found, cut


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=900), max_size=3), some_blocks, st.data())
def test_a_group_torn_in_any_way_is_cut_at_its_first_damage(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], group: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "blocks.log"
    offsets = write_group(path, before, group, ended=False)
    written = path.read_bytes()
    content = bytearray(written)
    # Pages of the group that never reached the disk; those before it share its first page at most, which was there.
    for page in data.draw(st.sets(st.integers(offsets[0] // PAGE, (offsets[-1] - 1) // PAGE))):
        start, end = max(page * PAGE, offsets[0]), min((page + 1) * PAGE, offsets[-1])
        content[start:end] = bytes(end - start)
    size = data.draw(st.integers(offsets[0], offsets[-1]))
    path.write_bytes(content[:size])
    left = list(before)
    for raw, start, end in zip(group, offsets[:-1], offsets[1:], strict=True):
        if end > size or content[start + 8 : end] != written[start + 8 : end]:  # a mark alone may be damaged
            break
        left.append(raw)
    expected = size - offsets[len(left) - len(before)]
    assert opened(path, data.draw(st.sampled_from([START, offsets[0]]))) == (left, expected)
    assert opened(path) == (left, 0), "it is cut once"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=2), some_blocks, st.data())
def test_nothing_of_a_group_that_ended_is_cut_whatever_rots(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], group: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "blocks.log"
    offsets = write_group(path, before, group, ended=True)
    for _ in range(data.draw(st.integers(1, 3))):
        flip(path, data.draw(st.integers(START, offsets[-1] - 1)))
    content = path.read_bytes()
    assert opened(path)[1] == 0
    assert path.read_bytes() == content


def test_what_rots_before_a_torn_group_is_not_cut_with_it(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    offsets = write_group(path, [b"first", b"answered for"], [b"third", b"fourth"], ended=False)
    flip(path, offsets[0] - 1)
    flip(path, offsets[0] + HEAD_BYTES)
    for expected in (offsets[-1] - offsets[0], 0):  # the note stays until the start comes to its end
        log = BlockLog(path, NETWORK)
        assert log.cut_torn_tail(START) == expected
        assert log.end == offsets[0]
        log.close()


@pytest.mark.parametrize("struck", range(NOTE_BYTES + 1))
def test_a_rotten_or_missing_note_is_no_permission_to_cut(tmp_path: Path, struck: int) -> None:
    path = tmp_path / "blocks.log"
    offsets = write_group(path, [b"first"], [b"second", b"third", b"fourth"], ended=False)
    flip(path, offsets[0] + HEAD_BYTES)
    flip(path, offsets[1] + HEAD_BYTES)
    content = path.read_bytes()
    note = path.with_name("blocks.log.group")
    assert note.stat().st_size == NOTE_BYTES
    if struck < NOTE_BYTES:
        flip(note, struck)
    else:
        note.unlink()
    assert opened(path) == ([b"first", b"fourth"], 0)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"PSGROUP1", bytes(NOTE_BYTES)])
def test_a_note_that_is_cut_off_or_empty_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "note"
    path.write_bytes(content)
    assert GroupNote(path, b"the mark").read() is None


def test_a_note_speaks_of_its_own_log_alone(tmp_path: Path) -> None:
    note = GroupNote(tmp_path / "note", b"the mark")
    assert note.read() is None
    for noted in (Noted(123, group=True), Noted(1 << 40, group=False)):
        note.write(noted)
        assert note.read() == noted
    assert GroupNote(tmp_path / "note", b"its mark").read() is None
    note.close()
    note.close()


def test_a_note_on_a_log_that_was_shortened_since_is_void(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    offsets = write_group(path, [b"first"], [b"second", b"third" * 20], ended=True)
    os.truncate(path, offsets[1])  # as somebody may who gives up what is damaged
    assert opened(path) == ([b"first", b"second"], 0)
    log = BlockLog(path, NETWORK)
    ends = [log.append(b"another block, which ends elsewhere" * 5).end]
    log.sync()
    log.append(b"torn")
    log.close()
    os.truncate(path, ends[-1] + 3)
    assert opened(path) == ([b"first", b"second", b"another block, which ends elsewhere" * 5], 3)


def test_one_record_after_a_group_is_cut_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    offsets = write_group(path, [], [b"first", b"second"], ended=True)
    log = BlockLog(path, NETWORK)
    log.append(b"torn while it was written")
    log.close()
    os.truncate(path, offsets[-1] + HEAD_BYTES + 3)
    assert opened(path) == ([b"first", b"second"], HEAD_BYTES + 3)


def test_a_group_that_ended_is_no_permission_for_the_blocks_after_it(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    offsets = write_group(path, [], [b"first", b"second"], ended=True)
    log = BlockLog(path, NETWORK)
    for raw in (b"third", b"fourth", b"fifth"):
        log.append(raw)
        log.sync()
    log.close()
    flip(path, offsets[-1] + HEAD_BYTES)
    content = path.read_bytes()
    assert opened(path) == ([b"first", b"second", b"fourth", b"fifth"], 0)
    assert path.read_bytes() == content
