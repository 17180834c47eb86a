"""Texts from outside, made fit to be shown."""


def printable(text: str, most: int) -> str:
    """A text cut to so many characters, and without any that a terminal would obey or that cannot be encoded."""
    cut = text[:most]
    return cut if cut.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)
