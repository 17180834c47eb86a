"""The seal of a line: its hash, and an Ed25519 signature of that hash.

A line of the file is ``{"body":BODY,"hash":"...","signature":"..."}``; the hash is SHA-256 over the exact bytes of BODY, which
names the hash of the line before it in its stream.
"""

from binascii import hexlify, unhexlify
from hashlib import sha256
from pathlib import Path

from msgspec import Struct
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from photosynth.files.whole import write_whole

NO_HASH = bytes(32)
SIGNED_PREFIX = b"photosynth evidence, version 2\n"
"""Stands before the hash in what is signed, so that no signature means anything else."""
NEW_KEY_PREFIX = b"photosynth evidence, version 2, new key\n"
"""Stands before the place in the stream in what a new key signs to show that somebody has it."""
_HEAD = b'{"body":'
_TAIL = b',"hash":"%b","signature":"%b"}'
_HASH = slice(len(',"hash":"'), len(',"hash":"') + 64)
_SIGNATURE = slice(_HASH.stop + len('","signature":"'), _HASH.stop + len('","signature":"') + 128)
_TAIL_BYTES = _SIGNATURE.stop + len('"}') + 1
"""With the line end."""


class SealError(ValueError):
    """A line is not sealed as it must be; the message says how it differs."""


class SealedLine(Struct, frozen=True, gc=False):
    """The exact bytes of a body with its hash and signature."""

    body: bytes
    hash: bytes
    signature: bytes

    def text(self) -> bytes:
        """The line as it stands in a file, without its line end."""
        return _HEAD + self.body + self.tail()

    def tail(self) -> bytes:
        """What stands behind the body."""
        return _TAIL % (hexlify(self.hash), hexlify(self.signature))


class Identity:
    """The key that signs a stream of evidence. It signs evidence and nothing else: no coin depends on it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @classmethod
    def open(cls, path: Path) -> "Identity":
        """The key in a file. Raises SealError where it is missing or none, OSError."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise SealError(
                f"{path} is missing: it signed the evidence that is here, and no other key can go on with that. "
                "Restore it from a backup, or start anew with --fresh, which moves what is there aside"
            ) from None
        if len(raw) != 32:
            raise SealError(f"{path} is not a key of evidence: it has {len(raw)} bytes, not 32. Restore it from a backup.")
        return cls(SigningKey(raw))

    @classmethod
    def create(cls, path: Path) -> "Identity":
        """A new key, readable by its owner alone; for a state in which nothing was ever signed. Raises OSError."""
        write_whole(path, bytes(SigningKey.generate()))
        return cls.open(path)

    @classmethod
    def from_seed(cls, seed: bytes) -> "Identity":
        """The key of 32 given bytes, for tests."""
        return cls(SigningKey(seed))

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that signatures are checked with."""
        return bytes(self._key.verify_key)

    def seal(self, body: bytes) -> SealedLine:
        """Hash a body and sign that."""
        digest = sha256(body).digest()
        return SealedLine(body, digest, self._key.sign(SIGNED_PREFIX + digest).signature)

    def proof(self, previous: bytes) -> bytes:
        """The signature by which a new key shows that somebody has it, for the place in a stream after this hash."""
        return self._key.sign(_new_key_text(previous, self.public_key)).signature


def _new_key_text(previous: bytes, public_key: bytes) -> bytes:
    return NEW_KEY_PREFIX + previous + public_key


def split_line(line: bytes) -> SealedLine:
    """Take a file's line apart, with its line end. Raises SealError where it is none."""
    if line.startswith(_HEAD) and len(line) > len(_HEAD) + _TAIL_BYTES:
        tail = line[-_TAIL_BYTES:-1]
        try:
            sealed = SealedLine(line[len(_HEAD) : -_TAIL_BYTES], unhexlify(tail[_HASH]), unhexlify(tail[_SIGNATURE]))
        except ValueError:
            pass
        else:
            # Written again it is the same: nothing else stands in it, and no capitals.
            if tail == sealed.tail():
                return sealed
    raise SealError("it is not a sealed line: a body, a hash and a signature")


def check_hash(line: SealedLine) -> None:
    """Raise SealError where a line's hash is not that of its body."""
    if sha256(line.body).digest() != line.hash:
        raise SealError("its hash is not that of its bytes: one of them was changed")


class Checker:
    """Checks the signatures of one key of 32 bytes.

    A key or signature of small order is refused: one such signature would be good for any text.
    """

    def __init__(self, public_key: bytes) -> None:
        self._key = VerifyKey(public_key)
        self._public_key = public_key

    def check(self, line: SealedLine) -> None:
        """Raise SealError where a line was not signed with the key."""
        try:
            # What VerifyKey.verify calls, without what it puts around that.
            crypto_sign_open(line.signature + SIGNED_PREFIX + line.hash, self._public_key)
        except BadSignatureError as error:
            raise SealError("its signature is not of the key that its stream names") from error

    def check_proof(self, previous: bytes, proof: bytes) -> None:
        """Raise SealError where a new key did not sign its own place in a stream."""
        try:
            self._key.verify(_new_key_text(previous, bytes(self._key)), proof)
        except BadSignatureError as error:
            raise SealError("its new key did not sign its place: nobody shows that he has it") from error
