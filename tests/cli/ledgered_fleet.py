"""Fronts with ledgers behind their admin doors, and a third that nobody reaches; no SSH, no gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from fleet.cli.main import main
from fleet.node.gateway.admin_ledger import LedgerDoors
from fleet.node.gateway.admin_usage import UsageDoor
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.reload import Current
from fleet.testing.link import FakeChannel, FakeLink, FakeSession
from fleet.traffic.config import GatewayConfig, Listen
from fleet.traffic.keyring import KeyRing
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.ledger import Row
from fleet.vocabulary.names import GatewayRole

INVENTORY = """\
all:
  vars:
    fleet_key: env:FLEET_KEY_OF_TEST
    gateway_key: env:X
    host_key: ssh-ed25519 AAAA
    budgets: {timezone: Europe/Berlin}
    teams: {red: {cost_centre: "4711"}, blue: {cost_centre: "4712"}}
  children:
    front:
      hosts:
"""


MACS = """\
    mlx:
      hosts:
        mini-1: {ansible_host: 10.0.0.2}
"""


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Ledgered:
    """A project whose fronts have these rows. `away` are fronts that nobody reaches."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self._sessions: dict[str, FakeSession] = {}
        self._hosts: dict[str, int] = {}
        monkeypatch.setenv("FLEET_KEY_OF_TEST", "sk-boss-0123456789")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.chdir(folder)
        monkeypatch.setattr("fleet.cli.doors.link_of", lambda _: FakeLink(self._sessions))

    @asynccontextmanager
    async def fronts(
        self, *ledgers: Sequence[Row], away: Sequence[str] = (), macs: str = MACS, variables: str = ""
    ) -> AsyncIterator[Ledgered]:
        """Runs the doors; `macs` is the rest of the inventory, `variables` are more of all."""
        async with AsyncExitStack() as stack:
            for number, rows in enumerate(ledgers, 1):
                name = f"front-{number}"
                self._hosts[name] = await stack.enter_async_context(_doors(self._folder / name, name, rows))
                self._sessions[name] = FakeSession({"true": FakeChannel(b"")}, node=name)
            self._hosts |= dict.fromkeys(away, 1)
            hosts = "".join(
                f"        {name}: {{ansible_host: 10.0.1.{number}, gateway_admin_port: {port}}}\n"
                for number, (name, port) in enumerate(self._hosts.items())
            )
            (self._folder / "inventory").mkdir()
            (self._folder / "inventory/fleet.yml").write_text(
                INVENTORY.replace("  children:\n", f"{variables}  children:\n") + hosts + macs
            )
            yield self

    def run(self, *words: str) -> Said:
        """A command of the laptop; to be called in a thread."""
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        captured = self._capsys.readouterr()
        return Said(int(stopped.value.code or 0), captured.out, captured.err)


@asynccontextmanager
async def _doors(folder: Path, name: str, rows: Sequence[Row]) -> AsyncIterator[int]:
    folder.mkdir()
    file = LedgerFile(folder / "ledger.db")
    file.put(rows)
    file.close()
    (folder / "keys.json").write_bytes(msgspec.json.encode(KeyRing(keys=())))
    config = GatewayConfig(
        node=name,
        role=GatewayRole.FRONT,
        listen=Listen(host="127.0.0.1", port=1),
        keys_file=str(folder / "keys.json"),
        policy=Policy(ledger_file=str(file.path), budget_tz="Europe/Berlin"),
    )
    (folder / "gateway.json").write_bytes(msgspec.json.encode(config))
    current = Current(folder / "gateway.json")
    app = web.Application()
    LedgerDoors(current, restart=lambda: None).open(app)
    UsageDoor(current).open(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
