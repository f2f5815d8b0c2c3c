"""`python -m fleet.practice.weekly`: what launchd runs on a front by the calendar, and when the Mac starts."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fleet.practice.weekly.catchup import catch_up, patiently
from fleet.practice.weekly.loopback import OwnFront
from fleet.vocabulary.clock import SystemClock

_WEEKS = 6
_WAIT_SECONDS = 180.0


def main(words: list[str] | None = None) -> int:
    """The exit code: 0 nothing is missing any more, 1 something is, and the log says why."""
    options = _options().parse_args(words)
    now = datetime.now(UTC)
    try:
        front = _front(options.config, options.key_file)
        found = patiently(
            lambda: catch_up(front, options.out, now=now, most=options.weeks, told=_say),
            SystemClock(),
            within_seconds=options.wait,
        )
    except (OSError, msgspec.DecodeError) as problem:
        print(f"{now:%Y-%m-%dT%H:%M:%SZ} {problem}", file=sys.stderr)  # noqa: T201 (its log)
        return 1
    if found.problem:
        print(f"{now:%Y-%m-%dT%H:%M:%SZ} {found.problem}", file=sys.stderr)  # noqa: T201 (its log)
        return 1
    if not found.made:
        _say(f"{now:%Y-%m-%dT%H:%M:%SZ} nothing is missing")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (its log)


class _Gateway(msgspec.Struct):
    """What must be known of the gateway's configuration."""

    node: str
    admin_port: int


def _front(config: Path, key_file: Path) -> OwnFront:
    gateway = msgspec.json.decode(config.read_bytes(), type=_Gateway)
    return OwnFront(gateway.node, port=gateway.admin_port, key_file=key_file)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fleet.practice.weekly", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the gateway's: etc/gateway.json")
    parser.add_argument("--key-file", type=Path, required=True, help="what is shown at the door: etc/agent.token")
    parser.add_argument("--out", type=Path, required=True, help="where reports lie")
    parser.add_argument("--weeks", type=int, default=_WEEKS, help="how far back a missing report is made")
    parser.add_argument("--wait", type=float, default=_WAIT_SECONDS, help="seconds to wait for a gateway that starts")
    return parser


if __name__ == "__main__":
    sys.exit(main())
