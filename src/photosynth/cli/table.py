"""Tables for a terminal of any width: what does not fit side by side stands one below the other, and no digit is cut."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


class FittingTable:
    """Rows under column heads, of which the first ``left`` columns are texts that may wrap and the others numbers.

    A text column named in ``whole`` does not wrap either. Where the terminal is too narrow for what must stay whole, each
    row becomes a list of its fields. A row may leave its first cells empty, as the further lines of one thing do.
    """

    def __init__(self, title: str, *columns: str, left: int = 1, whole: Sequence[str] = ()) -> None:
        self._title, self._columns, self._left, self._whole = title, columns, left, whole
        self._rows: list[Sequence[str]] = []

    def add_row(self, *cells: str) -> None:
        """One more row; what stands in it is taken as it is, without markup."""
        self._rows.append(cells)

    @property
    def width(self) -> int:
        """Characters that the widest line of the table takes where nothing wraps."""
        rows = [self._columns, *self._rows]
        return sum(max(len(row[n]) for row in rows) for n in range(len(self._columns))) + 2 * (len(self._columns) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or the list of its rows' fields."""
        table = self._table()
        if Measurement.get(console, options.update(width=10_000), table).minimum <= options.max_width:
            yield table
            return
        if self._title:
            yield Text(self._title, style="bold")
        for row in self._rows:
            yield self._fields(row)
            yield Text()

    def _table(self) -> Table:
        table = Table(title=Text(self._title) if self._title else None, title_justify="left", title_style="bold", box=None)
        table.pad_edge, table.header_style = False, "dim"
        for number, name in enumerate(self._columns):
            side: JustifyMethod = "left" if number < self._left else "right"
            if side == "left" and name not in self._whole:
                table.add_column(Text(name), overflow="fold")
            else:
                widest = max((len(row[number]) for row in self._rows), default=0)
                table.add_column(Text(name), justify=side, no_wrap=True, min_width=max(widest, len(name)))
        for row in self._rows:
            table.add_row(*map(Text, row))
        return table

    def _fields(self, row: Sequence[str]) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", overflow="fold")
        grid.add_column(overflow="fold")
        for name, cell in zip(self._columns, row, strict=True):
            if cell:
                grid.add_row(Text(name), Text(cell))
        return grid
