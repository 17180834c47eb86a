"""One metric of Prometheus: its name, meaning, unit and source, and how its samples are read from the documents."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from photosynth.api.own_process import OwnProcess
from photosynth.documents import NodeDocument, SitePart, Status

Value = int | float | None
Kind = Literal["gauge", "counter"]
Sample = tuple[tuple[str, ...], Value]

NODE_LABELS = ("node", "network", "chain", "role", "run")
DATABASE_AWAY = "database_away"
"""The condition under which a status says of the books what was seen before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scrape was made from. ``status`` is None where the database has not answered since the start."""

    status: Status | None
    nodes: Sequence[NodeDocument]
    own: OwnProcess
    wall_ms: int

    @property
    def sites(self) -> Sequence[SitePart]:
        """Every site of the status."""
        return () if self.status is None else self.status.sites

    @property
    def books(self) -> Status | None:
        """The status, where what it says of the books is of now."""
        status = self.status
        return None if status is None or any(item.id == DATABASE_AWAY for item in status.conditions) else status


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: how it is named, what it means and in which unit, where it comes from, and its samples."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    source: str
    samples: Callable[[Seen], Iterable[Sample]]

    @property
    def help(self) -> str:
        """What stands in the line HELP."""
        return f"{self.meaning} From {self.source}."

    def collect(self, seen: Seen) -> Metric:
        """The family with a sample for each value that is known."""
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.help, labels=self.labels)
        for labels, value in self.samples(seen):
            if value is not None:
                family.add_metric(labels, value)
        return family


def of_fleet(name: str, meaning: str, source: str, value: Callable[[Seen], Value], kind: Kind = "gauge") -> Family:
    """A family with one sample at most."""
    return Family(name, kind, (), meaning, source, lambda seen: [((), value(seen))])


def of_sites(name: str, meaning: str, source: str, value: Callable[[SitePart], Value], kind: Kind = "gauge") -> Family:
    """A family with one sample a site."""
    source = f"`status`, `sites[].{source}`"
    return Family(name, kind, ("site",), meaning, source, lambda seen: [((part.name,), value(part)) for part in seen.sites])


def of_nodes(name: str, meaning: str, source: str, value: Callable[[NodeDocument, Seen], Value]) -> Family:
    """A family with one sample a node."""

    def samples(seen: Seen) -> Iterator[Sample]:
        for node in seen.nodes:
            yield node_labels(node), value(node, seen)

    return Family(name, "gauge", NODE_LABELS, meaning, f"`nodes`, `{source}`", samples)


def node_labels(node: NodeDocument) -> tuple[str, ...]:
    """The values of ``NODE_LABELS``."""
    return node.id, node.network, node.chain, node.role, node.run
