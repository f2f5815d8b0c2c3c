"""`python -m fleet.node.gateway --config FILE`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fleet.errors import FleetError
from fleet.node.gateway.service import serve

_GC_ALLOCATIONS = 20_000


def main() -> int:
    """Run the gateway; the exit code."""
    parser = argparse.ArgumentParser(prog="fleet.node.gateway", description="fleet's gateway of one node")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="what `fleet deploy` wrote")
    options = parser.parse_args()
    gc.freeze()  # what was imported stays for good; and requests make few cycles, so it is looked for seldom
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its default would end us before there is anything to reload
    try:
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(serve(options.config))
    except FleetError as error:
        sys.stderr.write(error.text + "\n")
        return error.exit_code
    return 0


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
