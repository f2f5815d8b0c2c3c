"""`python -m bench.cancel.real`: how soon a real `mlx_lm server` stops to read a prompt whose client has left.

It looks for its client when it has done a step of the prefill, and nowhere else; so the figure is in steps.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.cancel.client import Client, body_of, request_of
from bench.cancel.pair import WIDE, pair, until
from fleet.engines import SidecarSpec, engine
from fleet.sim.models.tiny import Shape, make_tiny

_STEP_TOKENS = 128
_PROMPT_BYTES = 6_000
_READY_SECONDS = 60.0
_QUIET_STEPS = 3
_STEP = b"Prompt processing progress"


@dataclass(frozen=True)
class Server:
    """A running server, its port and what it logs."""

    port: int
    log: Path


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.cancel.real", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20, metavar="N")
    options = parser.parse_args()
    gc.freeze()
    step, taken, more = asyncio.run(_measured(options.repetitions))
    print(
        f"a step of {_STEP_TOKENS} tokens takes {step * 1000:.0f} ms (median); {len(taken)} clients left in mid-prefill"
    )
    print(
        f"the last step ended {statistics.median(taken) * 1000:.0f} ms after the client had left (median), at most "
        f"{max(taken) * 1000:.0f} ms; steps that ended in that time: median {statistics.median(more):g}, "
        f"at most {max(more)}"
    )
    return 0


async def _measured(repetitions: int) -> tuple[float, list[float], list[int]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with _server(folder) as server, pair(folder, sidecar_url=f"http://127.0.0.1:{server.port}") as both:
            step = await _step_seconds(server.port)
            taken, more = [], []
            for _ in range(repetitions):
                client = await Client.asks(both.front.port, _request(WIDE))
                await client.hear(b"keepalive")
                await asyncio.sleep(step * (1.5 + secrets.randbelow(100) / 100))  # anywhere within a step
                said = len(_said(server.log))
                at = client.leave()
                steps, last = await _further_steps(server.log, said, quiet_seconds=_QUIET_STEPS * step)
                more.append(steps)
                taken.append(max(0.0, last - at))
                await until(both.idle)
            return step, taken, more


async def _further_steps(log: Path, since: int, *, quiet_seconds: float) -> tuple[int, float]:
    """How many steps the log names from there until it falls silent, and the monotonic second of the last."""
    steps, last = 0, time.monotonic()
    while time.monotonic() < last + quiet_seconds:
        found = _said(log)[since:].count(_STEP)
        if found > steps:
            steps, last = found, time.monotonic()
        await asyncio.sleep(0.005)
    return steps, last


def _said(log: Path) -> bytes:
    return log.read_bytes()


def _request(model: str) -> bytes:
    prompt = secrets.token_hex(_PROMPT_BYTES // 2)
    return request_of("chat", body_of("chat", model=model, prompt=prompt, stream=True))


async def _step_seconds(port: int) -> float:
    """From one comment to the next, asked without gateways."""
    client = await Client.asks(port, _request("default_model"))
    at, seen = [time.monotonic()], 0
    while seen < 8:
        await client.hear(*(b": keepalive %d/" % (_STEP_TOKENS * (seen + 1)),), within_seconds=30)
        at.append(time.monotonic())
        seen += 1
    client.leave()
    return statistics.median(later - sooner for sooner, later in pairwise(at[1:]))


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[Server]:
    """The server with a model large enough to feel, by the command that a deploy would write into its plist."""
    model, log = folder / "model", folder / "sidecar.log"
    model.mkdir()
    make_tiny(model, scripted=False, shape=Shape(layers=4, hidden=256))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    spec = SidecarSpec(
        name="chat", model_path=str(model), serves=WIDE, port=port, hub_dir=str(folder / "hf"),
        options={"prefill_step_size": _STEP_TOKENS}, environment={"MLX_DISABLE_COMPILE": "1"},
    )  # fmt: skip
    command = engine("mlx_lm").command(spec)
    for directory in map(Path, command.directories):
        directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", **command.environment}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-s", *command.argv_tail, env=environment, stdout=out, stderr=out
        )
    try:
        await until(lambda: _listens(port), within_seconds=_READY_SECONDS)
        yield Server(port, log)
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
