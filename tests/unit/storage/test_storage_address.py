"""Addresses of databases: libpq's form, no password, and a folder name that belongs to one database alone."""

import pytest

from photosynth.storage.address import Address, AddressError, is_address, parse_address


def test_an_address_is_read_and_written() -> None:
    text = "postgresql://photosynth@db.example.org:5433/books?passfile=/etc/photosynth/pgpass&sslmode=verify-full"
    found = parse_address(text)
    assert found == Address(
        "photosynth", "db.example.org", 5433, "books", (("passfile", "/etc/photosynth/pgpass"), ("sslmode", "verify-full"))
    )
    assert str(found) == text
    assert parse_address(str(parse_address("postgres://a%40b@[::1]/x%20y"))) == Address("a@b", "::1", 5432, "x y")
    assert is_address(text)
    assert is_address("mysql://u:secret@h/d")
    assert not is_address("/var/lib/photosynth")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://u:secret@h/d", "holds a password"),
        ("postgresql+psycopg://u:secret@h/d", "begins with postgresql://"),
        ("POSTGRESQL://u:secret@h/d", "begins with postgresql://"),
        ("postgresql://h/d", "no user"),
        ("postgresql://u@/d", "no host"),
        ("postgresql://u@h", "no name"),
        ("postgresql://u@h:x/d", "cannot be read"),
        ("postgresql://u@h:70000/d", "cannot be read"),
        ("postgresql://u@[h/d", "cannot be read"),
        ("postgresql://u@h/d/e", "more behind its name"),
        ("postgresql://u@h/d?options=-c%20fsync%3Doff", "not 'options'"),
        ("postgresql://u@h/d?passfile=", "not 'passfile'"),
        ("postgresql://u@h/d?sslmode=a&sslmode=b", "twice"),
        ("postgresql://u@h/d%00", "no name"),
    ],
)
def test_what_is_none_is_refused_without_repeating_a_secret(text: str, words: str) -> None:
    with pytest.raises(AddressError, match=words) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_each_database_has_a_folder_of_its_own_whoever_asks() -> None:
    addresses = [Address("u", "h", 1, "d"), Address("u", "h,1", 1, "d"), Address("u", "h", 11, "d"), Address("u", "h", 1, "../d")]
    assert len({address.folder_name for address in addresses}) == 4
    assert all("/" not in address.folder_name for address in addresses)
    assert Address("other", "h", 1, "d", (("sslmode", "require"),)).folder_name == addresses[0].folder_name
