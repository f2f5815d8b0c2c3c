"""What fleet's agent must show beside node_exporter and glances, in the same run by the same scraper. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bench.agent.rows import Results
from bench.demand import Demand, field, ratio


def _field(name: str, agent: str = "fleet") -> Callable[[Results], float | None]:
    return lambda results: field(results.row(agent), name)


def _against(agent: str, name: str) -> Callable[[Results], float | None]:
    ours, theirs = _field(name), _field(name, agent)
    return lambda results: ratio(ours(results), theirs(results))


DEMANDS = (
    Demand("node_exporter", "processor time", " ×", _against("node_exporter", "cpu_percent"), 0.5),
    Demand("glances", "processor time", " ×", _against("glances", "cpu_percent"), 0.05),
    Demand("node_exporter", "resident memory", " ×", _against("node_exporter", "resident_mb"), 1.25),
    Demand("node_exporter", "a scrape, p50", " ×", _against("node_exporter", "p50_ms"), 0.15),
    Demand("itself", "forks of the fast tier", "", _field("forks"), 0),
    Demand("itself", "scrapes that failed", "", _field("failed"), 0),
)
