"""`python -m fleet.sim.upstreams.openrouter --port N --state DIR`: a simulated OpenRouter until SIGTERM.

It prints its URL as one line when it listens. DIR keeps the bill over a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from decimal import Decimal
from pathlib import Path

from fleet.sim.upstreams.openrouter.catalogue import MODELS
from fleet.sim.upstreams.openrouter.server import KEY, SimulatedOpenRouter
from fleet.sim.upstreams.openrouter.world import WORLD
from fleet.sim.upstreams.simulated import serve


async def _run(options: argparse.Namespace) -> int:
    options.state.mkdir(parents=True, exist_ok=True)
    key = options.key_file.read_text().strip() if options.key_file is not None else KEY
    openrouter = SimulatedOpenRouter(
        models=(*MODELS, *WORLD), key=key, limit=options.limit, lag_seconds=options.lag_seconds, folder=options.state
    )
    return await serve(openrouter, options.port, name="simulated OpenRouter")


def main() -> int:
    """Serve; 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m fleet.sim.upstreams.openrouter", description="Simulated OpenRouter."
    )
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 = any that is free")
    parser.add_argument("--state", type=Path, required=True, help="folder of the bill")
    parser.add_argument("--key-file", type=Path, help=f"the key that it takes (default: {KEY})")
    parser.add_argument("--limit", type=Decimal, help="what the key may spend, in USD")
    parser.add_argument("--lag-seconds", type=float, default=0.5, help="how late GET /generation knows")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
