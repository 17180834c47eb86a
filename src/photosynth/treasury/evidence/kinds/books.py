"""The books' configuration: the chains and wallets whose coins they hold."""

from photosynth.treasury.evidence.books_body import RULES
from photosynth.treasury.evidence.envelope import FORMAT, Envelope
from photosynth.treasury.evidence.reading import EvidenceError, Members, choice
from photosynth.treasury.evidence.state import BooksState, FileState, Stream


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """The first line of the books' stream, and every one where something changed."""
    m = Members(line.data(), "the books")
    if m.text("format") != FORMAT:
        raise EvidenceError(f"the books are not of {FORMAT}")
    if m.take("rules") != RULES:
        raise EvidenceError("the books name rules that version 2 does not know")
    follows = choice(m.take("follows"), ("nothing", "configuration"), "the books: follows")
    if (follows == "nothing") != (stream.next_seq == 0):
        raise EvidenceError("a configuration begins a stream, or says why it stands where it does")
    if m.octets("public_key", 32) != stream.key:
        raise EvidenceError("it names another key than the one that signs")
    choice(m.take("recognition"), ("at_maturity", "at_accrual"), "the books: recognition")
    operator = m.text("operator")
    books = file.books or BooksState(operator)
    books.operator = operator
    stream.changes += follows == "configuration"
    for entry in m.rows("chains"):
        _chain(Members(entry, "a chain"), books)
    for entry in m.rows("wallets"):
        _wallet(Members(entry, "a wallet"), books)
    m.finish()
    file.books = books


def _chain(m: Members, books: BooksState) -> None:
    name, genesis_hash = m.text("name"), m.octets("genesis_hash", 32)[::-1]
    m.text("asset")
    m.finish()
    if books.chains.setdefault(name, genesis_hash) != genesis_hash:
        raise EvidenceError(f"it names another genesis block of {name} than before")


def _wallet(m: Members, books: BooksState) -> None:
    name, chain, script = m.text("id"), m.text("chain"), m.octets("script")
    m.finish()
    if books.wallets.setdefault(name, (chain, script)) != (chain, script):
        raise EvidenceError(f"it names another script or chain of the wallet {name} than before")
    if chain not in books.chains:
        raise EvidenceError(f"the wallet {name} is of a chain that the books do not name")
    books.scripts.setdefault(chain, set()).add(script)
