"""One screen in a terminal of its own: what it costs, and how fast it answers."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import cost
from bench.gateway.kit import NotReady
from bench.gateway.processes import Cores
from bench.machine import ROOT
from bench.top.moving import name_of
from bench.top.rows import Row
from bench.top.scene import Scene, playing
from bench.top.terminal import Shows, Terminal
from bench.top.visits import screen_keys
from bench.top.vt import Vt

_CURSOR = "2;68;68;68"
_START_SECONDS = 60.0
_SETTLE_SECONDS = 6.0
_DOWNS = 80
_FILTERS = 6
_DOWN, _HOME, _BACK, _ENTER, _ESCAPE, _PALETTE = b"\x1b[B", b"\x1b[H", b"\x7f", b"\r", b"\x1b", b"\x10"
_SOUGHT = "mini-00"
_NAMES = ("front-", "mini-")


def measure(screen: str, feed: str, nodes: int, *, seconds: float, placed: Cores) -> Row:
    """The row of one case. Raises Ended, NotReady."""
    with tempfile.TemporaryDirectory() as made, _screen(Path(made), screen, feed, nodes, placed) as (scene, terminal):
        if terminal.read(_START_SECONDS, until=_all_well) is None:
            raise NotReady(f"{screen} over {nodes} nodes shows no node that is well:\n{terminal.screen.text}")
        terminal.read(_SETTLE_SECONDS)
        resident = cost.resident_mb([terminal.pid])
        idle, _ = _cost(terminal, seconds)
        scene.move(moving=True)
        terminal.read(_SETTLE_SECONDS)
        moving, output = _cost(terminal, seconds)
        keys, typed = list(_keys(terminal, nodes)), list(_filter(terminal, nodes))
        every = None
        if (screen, feed) == ("top", "polled"):
            _every_screen(terminal)
            every = round(cost.resident_mb([terminal.pid]), 1)
    return Row(
        screen=screen,
        feed=feed,
        nodes=nodes,
        cpu_moving_percent=moving,
        cpu_idle_percent=idle,
        output_moving_kb=output,
        **_spread("key", keys),
        **_spread("filter", typed),
        presses=len(keys) + len(typed),
        lost=sum(one is None for one in (*keys, *typed)),
        resident_mb=round(resident, 1) if feed == "polled" else None,
        every_screen_mb=every,
    )


@contextmanager
def _screen(folder: Path, screen: str, feed: str, nodes: int, placed: Cores) -> Iterator[tuple[Scene, Terminal]]:
    argv = placed.on(placed.target, [sys.executable, "-m", "bench.top.screen", screen, feed])
    environment = {"PYTHONPATH": str(ROOT)}
    if feed == "alone":
        scene = Scene(folder, folder / "mode")
        scene.move(moving=False)
        with Terminal([*argv, str(nodes), str(scene.mode)], folder=folder, environment=environment) as terminal:
            yield scene, terminal
        return
    with playing(folder, nodes=nodes) as scene:
        with Terminal(argv, folder=scene.project, environment=environment) as terminal:
            yield scene, terminal


def _cost(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Percent of a core, kB a second."""
    began, before, written = time.monotonic(), terminal.cpu_seconds(), terminal.written
    terminal.read(seconds)
    wall = time.monotonic() - began
    cpu, output = terminal.cpu_seconds() - before, terminal.written - written
    return round(100 * cpu / wall, 2), round(output / wall / 1000, 2)


def _keys(terminal: Terminal, nodes: int) -> Iterator[float | None]:
    """Cursor down at times that have nothing to do with the ticks; half of them scroll."""
    chance = random.Random(1)
    for number in range(1, min(nodes, _DOWNS + 1)):
        yield terminal.press(_DOWN, until=_cursor_on(name_of(number)))
        terminal.read(chance.uniform(0.02, 0.12))


def _filter(terminal: Terminal, nodes: int) -> Iterator[float | None]:
    """Two digits, and both taken back, at times that have nothing to do with the ticks."""
    chance = random.Random(2)
    terminal.type(_HOME)
    terminal.settle()
    terminal.type(b"/")
    terminal.settle()
    terminal.type(_SOUGHT.encode())
    terminal.settle()
    for _ in range(_FILTERS):
        for key, sought in ((b"3", "3"), (b"4", "34"), (_BACK, "3"), (_BACK, "")):
            yield terminal.press(key, until=_first_is([*_found(_SOUGHT + sought, nodes)][:2]))
            terminal.read(chance.uniform(0.1, 0.25))
    terminal.type(_BACK * len(_SOUGHT))
    terminal.settle()
    terminal.type(_ENTER)
    terminal.settle()


def _found(sought: str, nodes: int) -> Iterator[str]:
    return (name_of(number) for number in range(nodes) if sought in name_of(number))


def _first_is(names: list[str]) -> Shows:
    """The first rows of nodes are these, and where there is one only, it is alone."""

    def shows(screen: Vt) -> bool:
        words = (screen.line(y).split()[:1] for y in range(6))
        return [word[0] for word in words if word and word[0].startswith(_NAMES)][:2] == names

    return shows


def _all_well(screen: Vt) -> bool:
    lines = (screen.line(y).split()[:3] for y in range(6))
    return any(words[:1] == [name_of(0)] and words[-1:] == ["ok"] for words in lines)


def _cursor_on(name: str) -> Shows:
    """A line in the cursor's colour begins with that name."""

    def shows(screen: Vt) -> bool:
        lines = (y for y in range(screen.lines) if screen.ground(3, y) == _CURSOR)
        return any(screen.line(y).split()[:1] == [name] for y in lines)

    return shows


def _every_screen(terminal: Terminal) -> None:
    """What each screen and box needs is in the memory then."""
    keys = [_ENTER, b"2", b"3", _ESCAPE]
    for key in screen_keys():
        keys += [key, _DOWN, _ENTER, _ESCAPE, _ESCAPE]
    for key in (*keys, b"?", _ESCAPE, _PALETTE, b"t", _ESCAPE, b"D", b"n"):
        terminal.type(key)
        terminal.read(0.6)
    terminal.read(_SETTLE_SECONDS)


def _spread(kind: str, values: list[float | None]) -> dict[str, float | None]:
    known = sorted(value for value in values if value is not None)
    if not known:
        return dict.fromkeys((f"{kind}_p50_ms", f"{kind}_p95_ms", f"{kind}_max_ms"))
    p95 = known[round(0.95 * (len(known) - 1))]
    found = {"p50": statistics.median(known), "p95": p95, "max": known[-1]}
    return {f"{kind}_{name}_ms": round(value, 1) for name, value in found.items()}
