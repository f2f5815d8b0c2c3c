"""`python -m fleet.node.agent --config ROOT/etc/agent.json`: SIGHUP reads the configuration again, SIGTERM ends it."""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet import __version__
from fleet.errors import FleetError
from fleet.node.agent.agent import Agent, listen, token_path
from fleet.node.agent.setup import clock_of, load_config, load_token, reader_of
from fleet.vocabulary.clock import SystemClock

BIND_PATIENCE_SECONDS = 20.0


def log(text: str) -> None:
    """One line on stderr, where launchd keeps the tail."""
    sys.stderr.write(f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ} agent: {text}\n")
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent. 0 after SIGTERM, 1 when the port cannot be had, 2 for a configuration that does not fit."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) != 2 or words[0] != "--config":
        sys.stderr.write("usage: python -m fleet.node.agent --config FILE\n")
        return 2
    path = Path(words[1])
    try:
        config = load_config(path)
        token = load_token(token_path(config))
        reader = reader_of(config.readings)
    except FleetError as error:
        log(error.text)
        return 2
    try:
        listener = listen(config.port, patience_seconds=BIND_PATIENCE_SECONDS)
    except OSError as error:
        log(f"port {config.port}: {error.strerror}")
        return 1
    agent = Agent(config, reader, clock_of(config.readings), listener=listener, token=token, log=log)
    _watch_signals(agent, path, port=config.port)
    log(f"{__version__} watches {config.node} on 127.0.0.1:{config.port}, readings {config.readings}")
    try:
        agent.run()
    finally:
        agent.close()
    log("stopped")
    return 0


def _watch_signals(agent: Agent, path: Path, *, port: int) -> None:
    """Turn signals into events of the agent's loop."""
    reading_end, writing_end = os.pipe()
    os.set_blocking(reading_end, False)
    os.set_blocking(writing_end, False)
    signal.set_wakeup_fd(writing_end, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    def take(_events: int) -> None:
        numbers = os.read(reading_end, 512)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            agent.stop()
        elif signal.SIGHUP in numbers:
            _reload(agent, path, port=port)

    agent.selector.register(reading_end, selectors.EVENT_READ, take)


def _reload(agent: Agent, path: Path, *, port: int) -> None:
    """Read the configuration again; one that does not fit changes nothing."""
    try:
        config = load_config(path)
        token = load_token(token_path(config))
        agent.reload(config, reader_of(config.readings), token)
    except FleetError as error:
        log(f"keeps the old configuration: {error.text}")
        return
    log("read its configuration again" + ("; another port needs a restart" if config.port != port else ""))


if __name__ == "__main__":
    sys.exit(main())
