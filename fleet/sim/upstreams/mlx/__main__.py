"""`python -m fleet.sim.upstreams.mlx --port N`: a simulated `mlx_lm server` until SIGTERM. It prints its URL."""

from __future__ import annotations

import argparse
import asyncio
import sys

from fleet.sim.upstreams.mlx.server import Mode, SimulatedMlx
from fleet.sim.upstreams.simulated import serve


def main() -> int:
    """Serve; 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m fleet.sim.upstreams.mlx", description="Simulated mlx_lm server.")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 = any that is free")
    parser.add_argument("--mode", choices=list(Mode), default=Mode.OK, help="how it is from the start")
    options = parser.parse_args()
    return asyncio.run(serve(SimulatedMlx(mode=Mode(options.mode)), options.port, name="simulated mlx_lm"))


if __name__ == "__main__":
    sys.exit(main())
