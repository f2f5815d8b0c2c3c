"""What `fleet deploy` must show beside pyinfra, Ansible and `ssh NODE true`, on the same nodes in one run. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bench.demand import Demand, field, ratio
from bench.deploy.rows import Results

_Cell = tuple[str, str, int, int]


def _field(name: str, cell: _Cell) -> Callable[[Results], float | None]:
    return lambda results: field(results.row(*cell), name)


def _against(
    tool: str, n: int, rtt_ms: int, *, case: str = "noop", name: str = "wall_s_median"
) -> Callable[[Results], float | None]:
    ours = _field(name, ("fleet", case, n, rtt_ms))
    theirs = _field(name, (tool, "true" if tool == "ssh true" else case, n, rtt_ms))
    return lambda results: ratio(ours(results), theirs(results))


def _own_noop(rtt_ms: int) -> Callable[[Results], float | None]:
    change = _field("wall_s_median", ("fleet", "change", 32, rtt_ms))
    noop = _field("wall_s_median", ("fleet", "noop", 32, rtt_ms))
    return lambda results: ratio(change(results), noop(results))


_NOOP = ("fleet", "noop", 32, 0)
DEMANDS = (
    Demand("pyinfra", "no-op, 32 nodes, 20 ms", " ×", _against("pyinfra", 32, 20), 0.25),
    Demand("ssh true", "no-op, 32 nodes, 20 ms", " ×", _against("ssh true", 32, 20), 1.4),
    Demand("pyinfra", "no-op, 32 nodes, 0 ms", " ×", _against("pyinfra", 32, 0), 0.30),
    Demand("ssh true", "no-op, 32 nodes, 0 ms", " ×", _against("ssh true", 32, 0), 1.6),
    Demand("pyinfra", "no-op, 1 node, 20 ms", " ×", _against("pyinfra", 1, 20), 0.16),
    Demand("ssh true", "no-op, 1 node, 20 ms", " ×", _against("ssh true", 1, 20), 1.0),
    Demand("pyinfra", "no-op, 1 node, 0 ms", " ×", _against("pyinfra", 1, 0), 0.25),
    Demand("Ansible", "no-op, 1 node, 0 ms", " ×", _against("Ansible", 1, 0), 0.10),
    Demand("pyinfra", "first, 32 nodes, 0 ms", " ×", _against("pyinfra", 32, 0, case="first"), 0.30),
    Demand("pyinfra", "first, 32 nodes, 20 ms", " ×", _against("pyinfra", 32, 20, case="first"), 0.30),
    Demand("itself", "change of one file, 32 nodes, 0 ms, by its own no-op", " ×", _own_noop(0), 2.5),
    Demand("pyinfra", "change of one file, 32 nodes, 0 ms", " ×", _against("pyinfra", 32, 0, case="change"), 1.0),
    Demand("itself", "connections a node, no-op", "", _field("connections", _NOOP), 1),
    Demand("itself", "sessions a node, no-op", "", _field("sessions", _NOOP), 1),
    Demand("itself", "round trips of a no-op, 1 node", "", _field("round_trips", ("fleet", "noop", 1, 20)), 10),
    Demand("pyinfra", "processor time, no-op, 32 nodes", " ×", _against("pyinfra", 32, 0, name="cpu_s_median"), 0.30),
    Demand("itself", "largest process, no-op, 32 nodes", " MB", _field("peak_mb", _NOOP), 60),
)
