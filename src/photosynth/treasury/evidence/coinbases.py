"""The coinbases of evidence, read once for all that differ in nothing but their extranonce."""

from typing import Self

from msgspec import Struct, field

from photosynth.bitcoin.coinbase import COMMITMENT_BYTES, script_commitment, script_height
from photosynth.bitcoin.script import OP_PUSHDATA1, elements
from photosynth.bitcoin.transaction import NULL_INDEX, NULL_TXID, Transaction
from photosynth.bitcoin.wire import FormatError, compact_size, double_sha256
from photosynth.treasury.evidence.heads import Commitment

_FIRST = b"\x01" + NULL_TXID + NULL_INDEX.to_bytes(4, "little")
"""How a coinbase without witness goes on after its version: one input that spends the null output."""
_LONG = 0xFD
"""From here on, a compact size has more than one byte."""


class ReadCoinbase(Struct, frozen=True, eq=False, gc=False):
    """What a coinbase says: its height, the 32 bytes that it commits to, whom it pays (satoshis, script), its id.

    ``free`` is where in its bytes (from, to) anything may stand without a change to that, the id aside: the last push of its
    script.
    """

    is_coinbase: bool
    height: int | None
    commitment: bytes | None
    outputs: tuple[tuple[int, bytes], ...]
    txid: bytes
    free: tuple[int, int] = (0, 0)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole transaction. Raises FormatError."""
        read = _taken_apart(raw)
        if read is not None:
            script, outputs = read
            says = _as_ours(script) or (script_height(script), script_commitment(script), _last_push(script))
            return cls(True, says[0], says[1], outputs, double_sha256(raw), says[2])
        transaction = Transaction.parse(raw)
        outputs = tuple((output.value_sat, output.script) for output in transaction.outputs)
        if not transaction.is_coinbase:
            return cls(False, None, None, outputs, transaction.txid)
        script = transaction.inputs[0].script
        return cls(True, script_height(script), script_commitment(script), outputs, transaction.txid)

    def paid_to(self, script: bytes) -> int:
        """The satoshis that a script gets."""
        return sum(value_sat for value_sat, paid in self.outputs if paid == script)

    def pays_only(self, script: bytes) -> bool:
        """Whether nobody else gets anything."""
        return all(paid == script or not value_sat for value_sat, paid in self.outputs)


class JobCoinbases(Struct, frozen=True, eq=False, gc=False):
    """The coinbases of one job: what stands around the extranonce, the branch from their id to the Merkle root, and how what
    they commit to leads to a line of evidence.
    """

    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]
    commitment: Commitment
    _shared: dict[int, ReadCoinbase] = field(default_factory=dict)
    """What is shared by all coinbases with an extranonce of a length."""

    def coinbase(self, extranonce: bytes) -> ReadCoinbase:
        """What the coinbase with an extranonce says. Raises FormatError."""
        return ReadCoinbase.parse(self.prefix + extranonce + self.suffix)

    def shared(self, extranonce: bytes) -> ReadCoinbase | None:
        """What the coinbases with an extranonce of this length say, all the same but for their ids; None where they may not."""
        size = len(extranonce)
        if size in self._shared:
            return self._shared[size]
        try:
            read = self.coinbase(extranonce)
        except FormatError:
            return None
        first, past = read.free
        if first > len(self.prefix) or len(self.prefix) + size > past:
            return None
        self._shared[size] = read
        return read


def _taken_apart(raw: bytes) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
    """Script and outputs of a coinbase without witness whose counts have one byte each, as ours have; None for others."""
    at = 4 + len(_FIRST)
    if raw[4:at] != _FIRST or len(raw) <= at or raw[at] >= _LONG:
        return None
    script = raw[at + 1 : at + 1 + raw[at]]
    at += 1 + raw[at] + 4
    if len(raw) <= at or raw[at] >= _LONG:
        return None
    left, outputs = raw[at], []
    at += 1
    for _ in range(left):
        if len(raw) <= at + 8 or raw[at + 8] >= _LONG:
            return None
        past = at + 9 + raw[at + 8]
        outputs.append((int.from_bytes(raw[at : at + 8], "little", signed=True), raw[at + 9 : past]))
        at = past
    return (script, tuple(outputs)) if len(raw) == at + 4 else None


def _as_ours(script: bytes) -> tuple[int, bytes, tuple[int, int]] | None:
    """Height, commitment and last push of a script that pushes three times as ours do, each at once; None for any other."""
    size = script[0] if script else 0
    if not 1 <= size <= 4 or len(script) <= size + 34:
        return None
    # Numbers up to 16 are no pushes, and a number's last byte is neither empty nor a sign: whatever is not so plain is not ours.
    last, top = script[size + 34], script[size]
    if script[size + 1] != COMMITMENT_BYTES or len(script) != size + 35 + last or not 1 <= last < OP_PUSHDATA1:
        return None
    height = int.from_bytes(script[1 : size + 1], "little")
    if height <= 16 or not 1 <= top < 0x80:
        return None
    past = 4 + len(_FIRST) + 1 + len(script)
    return height, script[size + 2 : size + 34], (past - last, past)


def _last_push(script: bytes) -> tuple[int, int]:
    """Where in a coinbase the bytes of its script's last push stand, behind at least two elements; nowhere otherwise."""
    try:
        pushed = [data for _, data in elements(script)]
    except FormatError:
        return (0, 0)
    if len(pushed) < 3 or pushed[-1] is None:
        return (0, 0)
    past = 4 + len(_FIRST) + len(compact_size(len(script))) + len(script)
    return (past - len(pushed[-1]), past)
