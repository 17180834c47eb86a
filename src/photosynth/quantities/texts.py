"""Texts from outside: made fit to be shown, or refused where they are to be kept."""

import unicodedata


def printable(text: str, most: int) -> str:
    """A text cut to so many characters, and without any that a terminal would obey or that cannot be encoded."""
    cut = text[:most]
    return cut if cut.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def objection(text: str) -> str | None:
    """Why a text cannot be kept, after the name of what it is; None where it can.

    Control characters (Unicode's category Cc) mean nothing to whoever reads the audit, and PostgreSQL keeps no U+0000; halves of
    characters (Cs) are no text.
    """
    for at, letter in enumerate(text, 1):
        if unicodedata.category(letter) in ("Cc", "Cs"):
            return f"has a control character, U+{ord(letter):04X}, as its character {at}: write it as one line of plain text"
    return None
