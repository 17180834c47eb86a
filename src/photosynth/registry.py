"""What goes by a name in a fleet file and may come with another package: found by that name, the house's own first.

A package announces one by an entry point of the registry's group, whose name is the one that a fleet file writes. What it
announces is loaded when its name is first asked for, so that a broken one is the concern of those fleets alone that name it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from photosynth.quantities.texts import printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Tier = Literal["real software", "recorded answers", "specification"]
"""What something was tested against: the software or device itself, recorded answers of it, or its specification."""


MOST_TEXT = 500


class RegistryError(Exception):
    """A package announces something and does not give it; the message names the entry point."""


def words_of(error: BaseException) -> str:
    """What an exception of another package says of itself, bounded, as far as that can be had."""
    text = ""
    with suppress(Exception):
        text = printable(str(error), MOST_TEXT)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Named(Protocol):
    """What goes by a name."""

    @property
    def name(self) -> str:
        """As a fleet file writes it."""
        ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """All of one kind that are installed.

    ``ours`` are the house's own, each as ``module:ATTRIBUTE``; nobody takes their names. ``wrong`` says what is wrong with one
    that another package gives, None where nothing is; where it raises, everything is.
    """

    def __init__(self, group: str, kind: type[T], ours: Mapping[str, str], wrong: Callable[[T], str | None]) -> None:
        self.group, self.ours = group, ours
        self._kind, self._wrong = kind, wrong
        self._loaded: dict[str, T] = {}
        self._points: tuple[EntryPoint, ...] | None = None

    def get(self, name: str) -> T | None:
        """What goes by a name, None where nothing of that name is installed. Raises RegistryError."""
        if name not in self._loaded:
            if name in self.ours:
                module, _, attribute = self.ours[name].partition(":")
                self._loaded[name] = getattr(import_module(module), attribute)
            else:
                points = [point for point in self._announced() if point.name == name]
                if not points:
                    return None
                self._loaded[name] = self._load(points)
        return self._loaded[name]

    def need(self, name: str) -> T:
        """What goes by a name that a fleet file was accepted with. Raises RegistryError."""
        found = self.get(name)
        if found is None:
            raise RegistryError(f"nothing of the group {self.group} is called {name[:40]} any more: install its package again")
        return found

    def installed(self) -> tuple[str, ...]:
        """The names of all that are installed, sound or not, the house's own first."""
        return (*self.ours, *sorted({point.name for point in self._announced()} - self.ours.keys()))

    def usable(self) -> Iterator[T]:
        """All that can be loaded, in the order of :meth:`installed`."""
        for name in self.installed():
            try:
                yield self.need(name)
            except RegistryError:
                continue

    def problems(self) -> Iterator[str]:
        """What is wrong with each of those that cannot be loaded."""
        for name in self.installed():
            try:
                self.need(name)
            except RegistryError as error:
                yield str(error)

    def _announced(self) -> "tuple[EntryPoint, ...]":
        if self._points is None:
            from importlib.metadata import entry_points  # which is not light, and needed for what is not ours alone

            self._points = tuple(entry_points(group=self.group))
        return self._points

    def _load(self, points: "list[EntryPoint]") -> T:
        point = points[0]
        where = f"the entry point {point.name} = {point.value} of the group {self.group}"
        if other := next((item for item in points if item.value != point.value), None):
            raise RegistryError(f"{where} has the same name as {other.name} = {other.value} of another package")
        try:
            found = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a foreign package may raise anything while it is imported
            raise RegistryError(f"{where} cannot be loaded: {words_of(error)}") from error
        kind = f"{self._kind.__module__}.{self._kind.__qualname__}"
        try:
            if not isinstance(found, self._kind) or found.name != point.name:
                raise RegistryError(f"{where} is no {kind} of that name")
            wrong = self._wrong(found)
        except RegistryError:
            raise
        except Exception:  # noqa: BLE001 - it may be of a kind of its own, whose attributes raise anything
            wrong = f"what it says of itself is not of the kinds that {kind} names"
        if wrong is not None:
            raise RegistryError(f"{where}: {wrong}")
        sound: T = found
        return sound
