"""The agent's side of the admin door, at the door of a real gateway: what one says the other understands."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fake_mlx import FakeMlx
from gateway_harness import sidecar
from gateway_operated import AGENT_KEY, operated

from fleet.node.agent.edge import EdgeDoor
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.gateway_admin import IntentRequest, PaceReport
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret


class Asking:
    """An agent's door with its loop."""

    def __init__(self, url: str, token: str) -> None:
        self.selector, self.heard = selectors.DefaultSelector(), list[PaceReport]()
        self.door = EdgeDoor(
            self.selector,
            SystemClock(),
            port=urlsplit(url).port,
            token=Secret(token),
            valid_seconds=60.0,
            heard=self.heard.append,
        )

    async def until(self, true: Callable[[], object]) -> None:
        """Turn the loop until something is so."""
        for _ in range(500):
            for key, events in await asyncio.to_thread(self.selector.select, 0.02):
                key.data(events)
            if true():
                return
        raise AssertionError(f"never; the door says {self.door.problem}")


async def test_the_agent_reads_the_pace_and_drains_and_frees_what_it_drained(tmp_path: Path, mlx: Any) -> None:
    fake: FakeMlx = await mlx()
    async with operated(tmp_path, sidecar(fake)) as one:
        asking = Asking(one.admin, AGENT_KEY)
        door = asking.door
        door.ask()
        await asking.until(lambda: asking.heard)
        said = door.pace(urlsplit(fake.url).port or 0)
        assert said is not None
        assert (said.name, said.in_flight) == ("mini-1.chat", 0)
        door.want("mini-1.chat", Intent.DRAINING, by="agent: it generated nothing")
        await asking.until(lambda: (held := door.intent("mini-1.chat")) and held.intent is Intent.DRAINED)
        held = door.intent("mini-1.chat")
        assert held is not None
        assert held.by == "agent: it generated nothing"
        door.want("mini-1.chat", Intent.SERVING, by="agent: it is well")
        await asking.until(lambda: (held := door.intent("mini-1.chat")) and held.intent is Intent.SERVING)
        one.intents.want(IntentRequest(intent=Intent.DRAINING, by="ann"))
        door.want("mini-1.chat", Intent.SERVING, by="agent: it is well")
        await asking.until(lambda: (held := door.intent("mini-1.chat")) and held.by == "ann")
        door.close()


async def test_a_key_that_the_gateway_does_not_know_is_a_problem_with_its_cure(tmp_path: Path, mlx: Any) -> None:
    fake: FakeMlx = await mlx()
    async with operated(tmp_path, sidecar(fake)) as one:
        asking = Asking(one.admin, "another")
        asking.door.ask()
        await asking.until(lambda: asking.door.problem)
        assert "refuses the agent's key (401): fleet deploy gives it one" in (asking.door.problem or "")
        assert asking.heard == []
