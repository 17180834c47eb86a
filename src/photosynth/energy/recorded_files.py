"""Reading recorded daily and hourly series from CSV files: numbers stay exact decimal text, faults name file and place."""

import csv
import re
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", re.IGNORECASE | re.ASCII)
"""A decimal number as files have them; a long exponent would be a number that fills the memory."""


class RecordedDataError(Exception):
    """A recorded series lacks or garbles a value that is needed; the message names file, place and remedy."""


def rows(path: Path, needed: tuple[str, ...], wanted: tuple[str, ...] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, each with its line number.

    A ``wanted`` column that it does not have is empty. Raises RecordedDataError where the file is missing, is not text, or
    lacks one of the ``needed`` columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            absent = [name for name in needed if name not in (reader.fieldnames or ())]
            if absent:
                raise RecordedDataError(f"{path}: the header lacks the column {absent[0]!r}; it needs {', '.join(needed)}")
            for row in reader:
                yield reader.line_num, {name: (row.get(name) or "").strip() for name in (*needed, *wanted)}
    except FileNotFoundError:
        raise RecordedDataError(f"{path}: there is no such file; put it there or name another folder with --data") from None
    except OSError as error:
        raise RecordedDataError(f"{path}: cannot be read: {error.strerror}; put a file there that can") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordedDataError(f"{path}: is no table in UTF-8 ({error}); export it as CSV again") from error


def exact(text: str, path: Path, line: int, column: str) -> Fraction | None:
    """A decimal number exactly, None where the cell is empty or says nan. Raises RecordedDataError where it is no number."""
    if text == "" or text.lower() in {"nan", "null", "none", "n/a"}:
        return None
    if len(text) > 64:
        raise RecordedDataError(f"{path}, line {line}: {column} has {len(text)} characters, which is no number")
    if _NUMBER.fullmatch(text) is None:
        hint = "; write it with a decimal point" if "," in text else ""
        raise RecordedDataError(f"{path}, line {line}: {column} is {text!r}, which is not a number{hint}")
    return Fraction(text)


def daily_series(path: Path, column: str) -> dict[date, tuple[Fraction, str]]:
    """A column by date, each value exact and as its text; days without a value are left out.

    Raises RecordedDataError where a date or a number is garbled.
    """
    series: dict[date, tuple[Fraction, str]] = {}
    for line, row in rows(path, ("date", column)):
        try:
            day = date.fromisoformat(row["date"])
        except ValueError:
            raise RecordedDataError(f"{path}, line {line}: date is {row['date']!r}, which is not YYYY-MM-DD") from None
        value = exact(row[column], path, line, column)
        if value is not None:
            series[day] = (value, row[column])
    return series
