"""What a value of ``meta`` belongs to, in words of the table: ``fleet``, ``site:NAME``, ``chain:NAME``, ``stream:NAME``."""

FLEET = "fleet"
"""The scope of what is one for all."""


def of_site(site: str) -> str:
    """The scope of what belongs to a site."""
    return f"site:{site}"


def of_chain(chain: str) -> str:
    """The scope of what belongs to a chain, like ``bitcoin/regtest``."""
    return f"chain:{chain}"


def of_stream(stream: str) -> str:
    """The scope of what belongs to a stream of evidence."""
    return f"stream:{stream}"
