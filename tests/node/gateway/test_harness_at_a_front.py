"""The harness at a front: what a run says that it spent is what the ledger says, and the front knows what it costs."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from policy_kit import SMALL, begin, text_of_key

from fleet.control.actions.ask import Door
from fleet.control.actions.harnessdoor import FrontDoor
from fleet.control.inventory import Node, load_inventory
from fleet.control.inventory.project import find_project
from fleet.errors import ProtocolError
from fleet.practice.harness.prepare import Prepared, prepared
from fleet.practice.harness.report import HarnessReport
from fleet.practice.harness.results import RunHead
from fleet.practice.harness.session import Session
from fleet.practice.harness.store import RunBook, begin_run, read_run, report_of
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.suiteproblems import suite_of
from fleet.practice.harness.targets import target_spec
from fleet.traffic.tools.offered import Schemas
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.ledger import Request, Settlement
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Tier
from fleet.vocabulary.secret import Secret

SUITE = suite_of(
    {
        "suite": "own",
        "max_tokens": 40,
        "tools": {
            "look": {"description": "d", "parameters": {"type": "object"}, "results": [{"give": "nothing here"}]}
        },
        "prompts": [
            *({"id": f"p{n}", "category": "c", "ask": f"say jam {n}", "expect": {"contains": "jam"}} for n in range(4)),
            {
                "id": "t",
                "category": "t",
                "ask": "@@tool=look {}@@",
                "tools": ["look"],
                "expect": {"contains": "nothing"},
            },
        ],
    },
    Schemas(),
)
TARGETS = ("cheap=cheap", "home=home", "mixed=mixed", "gone=nope")


class NoLink:
    """Nothing goes through SSH here."""

    def connect(self, *_: object, **__: object) -> object:
        raise AssertionError("nobody should need SSH")


def node_at(tmp_path: Path) -> Node:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-1: {ansible_host: 127.0.0.1}\n")
    return load_inventory(find_project(None, cwd=tmp_path)).node("mini-1")


def measured(tmp_path: Path, door: FrontDoor, suite: Suite) -> tuple[Prepared, HarnessReport]:
    found = prepared([target_spec(text) for text in TARGETS], lambda spec: door)
    folder = tmp_path / "run"
    head = RunHead(
        run="run", suite=suite.name, suite_file="own", suite_digest=suite.digest, targets=found.targets,
        prompts=tuple(prompt.head for prompt in suite.prompts), started_milliseconds=1,
    )  # fmt: skip
    begin_run(folder, head)
    with closing(RunBook(folder)) as book:
        Session(
            run=read_run(folder), suite=suite, doors=found.doors, absent=found.absent, book=book, clock=SystemClock(),
            tell=lambda line: None, ceiling_pico=PICO_PER_USD,
        ).go()  # fmt: skip
    return found, report_of(folder)


async def test_what_a_run_spent_is_what_the_ledger_has_and_every_target_is_of_its_tier(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        front = await begin(stack, tmp_path)
        url = urlsplit(front.url)
        node = node_at(tmp_path)
        assert url.hostname is not None
        assert url.port is not None
        seen = Door(node=node, host=url.hostname, port=url.port, pin=None, key=Secret(text_of_key("ann")))
        with closing(FrontDoor(seen, link=NoLink(), base=tmp_path)) as door:  # type: ignore[arg-type]
            found, report = await asyncio.to_thread(measured, tmp_path, door, SUITE)
        cheap, home, mixed, gone = report.targets
        assert [one.tier for one in report.targets] == [Tier.API, Tier.FLEET, Tier.API, None]
        assert (gone.why, home.pass_pico) == ("there is no model nope there", 0)
        assert found.targets[2].price == SMALL, "its first upstream is free, the dearest is not"
        for one in (cheap, home, mixed):
            assert (one.passed.hits, one.tools.hits, one.tools.count) == (5, 1, 1), one
        assert cheap.answered_by == ("flash",)
        billed = sum(row.pico for row in await front.rows(Settlement))
        assert billed == report.spent_pico > 0
        assert len(await front.rows(Request)) == 3 * 6


async def test_a_front_that_does_not_know_the_key_says_what_helps(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        front = await begin(stack, tmp_path)
        url = urlsplit(front.url)
        seen = Door(node=node_at(tmp_path), host="127.0.0.1", port=url.port or 0, pin=None, key=Secret("sk-wrong"))
        door = FrontDoor(seen, link=NoLink(), base=tmp_path)  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="lists no models") as caught:
            await asyncio.to_thread(door.models)
    assert "fleet deploy" in caught.value.hint


class Tunnel:
    """A link, and the one session over it, to ports of this machine. `connected` counts sessions."""

    node = "mini-1"

    def __init__(self) -> None:
        self.connected = 0
        self.closed = 0

    def connect(self, *_: object, **__: object) -> Tunnel:
        self.connected += 1
        return self

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = 60.0) -> socket.socket:
        return socket.create_connection((host, port), timeout=within_seconds)

    def close(self) -> None:
        self.closed += 1


async def test_a_front_that_only_ssh_reaches_is_asked_through_one_session(tmp_path: Path) -> None:
    """Without TLS the key never goes over the network."""
    tunnel = Tunnel()
    async with AsyncExitStack() as stack:
        front = await begin(stack, tmp_path)
        port = urlsplit(front.url).port or 0
        seen = Door(node=node_at(tmp_path), host="192.0.2.1", port=port, pin=None, key=Secret(text_of_key("ann")))
        with closing(FrontDoor(seen, link=tunnel, base=tmp_path)) as door:  # type: ignore[arg-type]
            _, report = await asyncio.to_thread(measured, tmp_path, door, SUITE)
    assert [one.passed.hits for one in report.targets] == [5, 5, 5, 0]
    assert (tunnel.connected, tunnel.closed) == (1, 1)
