"""`python -m fleet.sim.upstreams.mlx --port N`: a simulated `mlx_lm server` until SIGTERM. It prints its URL."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from fleet.sim.upstreams.mlx.server import Mode, SimulatedMlx


async def _run(options: argparse.Namespace) -> int:
    mlx = SimulatedMlx(mode=Mode(options.mode))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await mlx.start(options.port)
    except OSError as error:
        print(f"simulated mlx_lm: port {options.port} cannot be had: {error.strerror}", file=sys.stderr)  # noqa: T201 (a process of its own)
        return 1
    print(mlx.url, flush=True)  # noqa: T201 (whoever started it waits for this line)
    await stop.wait()
    await mlx.stop()
    return 0


def main() -> int:
    """Serve; 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m fleet.sim.upstreams.mlx", description="Simulated mlx_lm server.")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 = any that is free")
    parser.add_argument("--mode", choices=list(Mode), default=Mode.OK, help="how it is from the start")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
