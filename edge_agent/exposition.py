"""A catalogue of metrics and what they are read from -> Prometheus' text format, and the reference page's table. PURE.

One row says a metric's name, kind, meaning and how to read it: what is served is documented, and the other way round.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from edge_agent.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNITS = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": "share, 0..1",
    "celsius": "degrees Celsius",
    "hertz": "1/s",
    "pixels": "px",
    "meters": "m",
    "degrees": "degrees",
    "levels": "grey levels, 0..255",
}
"""Last word of a metric's name -> unit; any other name counts something."""

Kind = Literal["gauge", "counter", "histogram"]
Value = float | Histogram | None
Reading = Value | Mapping[Any, Value]
"""One value, or one by label value, by a tuple where there are several labels. None = not known, and so not served."""
Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Metric(Generic[Source]):
    """One row of a catalogue."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Source], Reading]
    labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        return UNITS.get(self.name.removesuffix("_total").rsplit("_", 1)[-1], "")


def text(catalogue: Sequence[Metric[Source]], source: Source) -> bytes:
    """What is served under /metrics."""
    return generate_latest(_Reader(catalogue, source))


def table(catalogue: Sequence[Metric[Source]]) -> str:
    """Markdown, one line a metric."""
    rows = [
        f"| `{one.name}` | {one.kind} | {one.unit or 'count'} | {', '.join(one.labels) or '-'} | {one.help} |"
        for one in catalogue
    ]
    return "\n".join(["| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|", *rows]) + "\n"


@dataclass(frozen=True, slots=True)
class _Reader(Generic[Source]):
    """What prometheus_client takes for a registry."""

    catalogue: Sequence[Metric[Source]]
    source: Source

    def collect(self) -> Iterator[Family]:
        for metric in self.catalogue:
            yield _family(metric, metric.read(self.source))


def _family(metric: Metric, reading: Reading) -> Family:
    family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
    values = reading if isinstance(reading, Mapping) else {(): reading}
    for labels, value in values.items():
        named = (labels,) if isinstance(labels, str) else labels
        if isinstance(value, Histogram):
            family.add_metric(named, buckets=_buckets(value), sum_value=value.sum)
        elif value is not None:
            family.add_metric(named, float(value))
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, histogram.upto), "+Inf"]
    return list(zip(bounds, map(float, histogram.cumulative), strict=True))


_FAMILIES: dict[Kind, Callable] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}
