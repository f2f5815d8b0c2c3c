"""The pictures of docs/top.md, drawn by the screen itself over a fleet that stands still: `make pictures-top`.

    python tests/tui/pictures.py [FOLDER]

What is wrong is said in the words of the checks. The files want nothing from anywhere: no font is fetched.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from traffic_kit import HEALTHY_TRAFFIC, MIXED_TRAFFIC, Fronts
from tui_kit import EVENTS, NOW, Done, Remembered, Written, node, top, view

from fleet.control.actions.traffic import Traffic
from fleet.control.watch.view import Concern, FleetView, NodeRow, ServedModel
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import GIB, MIB


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What is pressed, how large the terminal is, and what fronts say."""

    keys: tuple[str, ...]
    size: tuple[int, int]
    traffic: Traffic


DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = {
    "overview": Picture(keys=(), size=(156, 26), traffic=HEALTHY_TRAFFIC),
    "node": Picture(keys=("enter",), size=(120, 22), traffic=HEALTHY_TRAFFIC),
    "traffic": Picture(keys=("t",), size=(132, 36), traffic=MIXED_TRAFFIC),
}
LOOKS = 12
QWEN, GPT, LLAMA = (
    (ServedModel(name=f"mlx-community/{name}", sidecar="chat", ready=True),)
    for name in ("Qwen3-30B-A3B-4bit", "gpt-oss-20b-MXFP4", "Llama-3.3-70B-Instruct-4bit")
)
_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
_MONO = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'


def concern(name: str, check: str, health: Health, minutes: float, text: str) -> Concern:
    """What the check of that name says of a node."""
    words = CHECKS[check]
    since = NOW - timedelta(minutes=minutes)
    do = words.do.format(node=name, subject="")
    return Concern(code=check, health=health, text=text, since=since, next=words.next.format(node=name), hint=do)


def sick(name: str, health: Health, *concerns: Concern, **changes: object) -> NodeRow:
    """A node of which the first concern is the worst."""
    worst = concerns[0]
    return node(name, health=health, concerns=concerns, problem=worst.text, hint=worst.hint, **changes)


def fleet() -> FleetView:
    """Ten Macs, two of them sick."""
    swaps = (
        concern("mini-03", "memory_pressure", Health.CRITICAL, 2.2, "memory pressure is critical"),
        concern("mini-03", "swapping", Health.WARN, 2.0, "swapping out 296 MiB/s"),
    )
    hot = concern("studio-1", "thermal", Health.WARN, 9.0, "thermal pressure is heavy: it throttles")
    return view(
        node("front-1", models=(), tokens_per_second=None, first_token_seconds=None, in_flight=None, pace_ratio=None,
             wired_headroom_bytes=None, groups=("front",)),
        node("mini-01", models=QWEN, tokens_per_second=44.2, in_flight=2),
        node("mini-02", models=QWEN, tokens_per_second=47.9, in_flight=1, first_token_seconds=0.31),
        sick("mini-03", Health.CRITICAL, *swaps, models=QWEN, tokens_per_second=6.8, pace_ratio=0.15, in_flight=5,
             first_token_seconds=9.4, pressure_level=4, wired_headroom_bytes=212 * MIB, swap_used_bytes=6 * GIB,
             swapout_bytes_per_second=310e6),
        node("mini-04", models=GPT, tokens_per_second=61.0, in_flight=1, first_token_seconds=0.22),
        node("mini-05", models=GPT, tokens_per_second=58.3, in_flight=0, first_token_seconds=0.24),
        node("mini-06", models=GPT, tokens_per_second=60.1, in_flight=2, first_token_seconds=0.27),
        sick("studio-1", Health.WARN, hot, models=LLAMA, tokens_per_second=7.4, pace_ratio=0.55, in_flight=1,
             first_token_seconds=2.1, thermal_level=2, chip="Apple M3 Ultra", memory_total_bytes=256 * GIB,
             wired_limit_bytes=192 * GIB, wired_headroom_bytes=71 * GIB),
        node("studio-2", models=LLAMA, tokens_per_second=13.6, in_flight=1, first_token_seconds=1.2,
             chip="Apple M3 Ultra", memory_total_bytes=256 * GIB, wired_limit_bytes=192 * GIB,
             wired_headroom_bytes=74 * GIB),
        node("studio-3", models=LLAMA, tokens_per_second=13.9, in_flight=0, first_token_seconds=1.1,
             chip="Apple M3 Ultra", memory_total_bytes=256 * GIB, wired_limit_bytes=192 * GIB,
             wired_headroom_bytes=74 * GIB),
    )  # fmt: skip


def earlier(now: FleetView, looks: int) -> FleetView:
    """The fleet so many looks before: those that are slow now had their usual pace."""
    rows = []
    for row in now.rows:
        pace, usual = row.tokens_per_second, (row.pace_ratio or 1.0)
        if pace is not None:
            was = pace / usual if usual < 0.9 and looks > 4 else pace
            pace = was * (1.0 + 0.06 * ((looks * 7 + len(row.node)) % 5 - 2))
        read = (row.sampled_at_seconds or 0.0) - 5.0 * looks
        rows.append(msgspec.structs.replace(row, tokens_per_second=pace, sampled_at_seconds=read))
    return view(*rows, at=now.at - timedelta(seconds=5 * looks))


async def drawn(picture: Picture) -> str:
    """A screen as SVG."""
    now = fleet()
    app, source = top(
        None, history=Remembered(), told=Written(*EVENTS), actions=Done(), traffic=Fronts(picture.traffic)
    )
    async with app.run_test(size=picture.size) as pilot:
        for looks in range(LOOKS, -1, -1):
            source.newest = earlier(now, looks) if looks else now
            app.tick()
            await pilot.pause()
        await pilot.press(*picture.keys)
        await pilot.pause()
        await app.workers.wait_for_complete()
        app.tick()
        await pilot.pause()
        return app.export_screenshot(title="fleet top")


def alone(svg: str, name: str) -> str:
    """The picture without anything that would be fetched, and with the same names in every run."""
    svg = re.sub(r"terminal-\d+", f"top-{name}", _FONT_FACE.sub("", svg))
    svg = re.sub(r"font-family: ?(Fira Code, monospace|arial)", f"font-family: {_MONO}", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    for name, picture in PICTURES.items():
        file = folder / f"top-{name}.svg"
        file.write_text(alone(asyncio.run(drawn(picture)), name))
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
