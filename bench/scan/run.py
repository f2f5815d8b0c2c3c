"""What looking into a prompt costs: RE2's set and Python's `re` over the same rules, in the same run.

The prompt is 97 KB of fleet's own code, without and with five planted secrets, as one message and as an agent's
history of 200. It fails when a secret is missed, or something is found where nothing is.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fleet.traffic.policy import Scanning
from fleet.traffic.sensitivity.matcher import Matcher, StdlibMatcher, matcher_of
from fleet.traffic.sensitivity.rules import FLEET_RULES
from fleet.traffic.sensitivity.scanner import Scanner, Verdict

ROOT = Path(__file__).resolve().parents[2]
PROMPT_BYTES = 97_000
ROUNDS = 40
MESSAGES = 200
SCANNING = Scanning(longest_seconds=10.0)
SECRETS = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "aB3dE6gH9" * 4,
    "sk-or-" + "v1-" + "0a1b2c3d" * 8,
    "4111 1111 1111 " + "1111",
    "DE89 3704 0044 0532 " + "0130 00",
)


def code() -> str:
    """97 KB of code, the same in every run of one checkout."""
    folder = ROOT / "fleet" / "node" / "gateway"
    return "".join(path.read_text() for path in sorted(folder.glob("*.py")))[:PROMPT_BYTES]


def planted(text: str) -> str:
    """`text` with the secrets at a sixth, two sixths, ... of it."""
    step = len(text) // (len(SECRETS) + 1)
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    return "".join(f"{piece}\nvalue = {secret}\n" for piece, secret in zip(pieces, (*SECRETS, ""), strict=False))


def one_message(text: str) -> dict[str, Any]:
    """A request with `text` as its prompt."""
    return {"model": "agents", "messages": [{"role": "user", "content": text}]}


def history(text: str) -> dict[str, Any]:
    """The same text as an agent's 200 messages."""
    step = len(text) // MESSAGES
    texts = [text[at : at + step] for at in range(0, len(text), step)]
    return {"model": "agents", "messages": [{"role": "user", "content": one} for one in texts]}


def milliseconds(scan: Callable[[], Verdict], hits: int) -> tuple[float, float]:
    """Processor time: the best and the median of some rounds. Exits when the verdict is wrong."""
    taken: list[float] = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        verdict = scan()
        taken.append((time.thread_time() - began) * 1000)
        if verdict.unseen or len(verdict.hits) != hits:
            sys.exit(f"expected {hits} hits, found {verdict}")
    return min(taken), statistics.median(taken)


def rows(matcher: Matcher) -> list[tuple[str, float, float]]:
    """What one matcher takes."""
    text = code()
    cold = Scanner(matcher, SCANNING, remembered=0)
    warm = Scanner(matcher, SCANNING)
    warm.scan(history(text))
    cases = [
        ("97 KB, five secrets planted", cold, one_message(planted(text)), len(SECRETS)),
        ("97 KB, clean", cold, one_message(text), 0),
        ("97 KB in 200 messages, clean", cold, history(text), 0),
        ("the same with the next turn", warm, history(text + "go on" * 90), 0),
    ]
    found = []
    for name, scanner, request, hits in cases:
        best, median = milliseconds(partial(scanner.scan, request), hits)
        found.append((name, best, median))
    return found


def main() -> None:
    """Print the table."""
    fast = matcher_of(FLEET_RULES)
    plain = StdlibMatcher(FLEET_RULES)
    print(f"{len(FLEET_RULES)} rules; processor time, best and median of {ROUNDS}, ms\n")
    print(f"| request | {fast.name} | {plain.name} |\n|---|---|---|")
    for (name, best, median), (_, other_best, other_median) in zip(rows(fast), rows(plain), strict=True):
        print(f"| {name} | {best:.2f}, {median:.2f} | {other_best:.2f}, {other_median:.2f} |")


if __name__ == "__main__":
    main()
