"""Processes that bill under load until they are killed: the real ledger, book, client and recovery of a front.

`python killed_driver.py` imports once; each line on stdin (a Spec) forks one process and is answered with its id.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import msgspec

from fleet.engines import engine
from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.ledger.cost import cost_of_answer
from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.provider import CallingProvider
from fleet.node.gateway.ledger.pursuit import Pursuit, wall_milliseconds
from fleet.node.gateway.ledger.recovery import OpenAttempt
from fleet.node.gateway.ledger.writer import LedgerClosed
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.budget.limits import FLEET, Limit
from fleet.traffic.config import Upstream
from fleet.vocabulary.contracts.ledger import CostSource, Dispatch, Owner, Reservation, Row, Settlement
from fleet.vocabulary.names import Track
from fleet.vocabulary.secret import Secret

WORST_PICO = 60_000_000
"""What no answer here costs more than: 160 tokens of prompt, 70 of answer, at the dearest provider."""
_WORKERS = 8


class Spec(msgspec.Struct):
    """What a process does. `recover`: no requests; it ends when nothing is unsettled, its clock so many hours ahead."""

    folder: str
    url: str
    key: str
    cap_pico: int = 0
    seed: int = 0
    recover: bool = False
    hours: int = 0


class Front:
    """What the gateway does with money, without its clients."""

    def __init__(self, spec: Spec) -> None:
        folder = Path(spec.folder)
        self.spec = spec
        self.random = random.Random(spec.seed)
        self.ledger = Ledger(folder / "ledger.db", told=self.say)
        self.book = Book(BudgetCalendar.of("UTC"))
        upstream = Upstream(
            name="openrouter", kind="api", url=spec.url, engine="openrouter", serves="big", model="sim/echo-small"
        )
        self.live = LiveUpstream(upstream, engine("openrouter"), Secret(spec.key))
        self.caller = HttpCaller()
        self.reserved = os.open(folder / "reserved", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.limit = Limit(FLEET, pico=spec.cap_pico)
        self.pursuit = Pursuit(
            self.ledger.path,
            CallingProvider(self.caller, lambda: [self.live]),
            write=self.write,
            track=lambda _: Track.DOLLAR,
            told=self.say,
            now=lambda: wall_milliseconds() + spec.hours * 3_600_000,
        )

    def say(self, text: str) -> None:
        """For whoever looks into a run that went wrong."""
        with (Path(self.spec.folder) / "said").open("a") as file:
            file.write(text + "\n")

    def write(self, row: Row) -> None:
        """Into ledger and book."""
        self.ledger.write(row)
        self.book.add(row)

    async def run(self) -> None:
        """Until it is killed, or all is settled."""
        await self.ledger.open()
        for row in self.ledger.rows():
            self.book.add(row)
        await self.pursuit.settle_sums(self.ledger.begun)
        self.ledger.release()
        asking = asyncio.ensure_future(self.pursuit.run())
        if self.spec.recover:
            await asyncio.sleep(0.05)
            while self.pursuit.unsettled:
                await asyncio.sleep(0.01)
            await self.ledger.close()
            return
        await asyncio.gather(asking, *(self.work(number) for number in range(_WORKERS)))

    async def work(self, worker: int) -> None:
        """One request after the other."""
        number = 0
        while True:
            number += 1
            name = f"{self.spec.seed}-{worker}-{number}"
            row = Reservation(
                id=f"{name}/1",
                request=name,
                at_milliseconds=wall_milliseconds(),
                owner=Owner(key="ci"),
                route="big",
                track=Track.DOLLAR,
                upstream="openrouter",
                model="sim/echo-small",
                pico=WORST_PICO,
            )
            if self.book.reserve(row, (self.limit,)) is not None:
                await asyncio.sleep(0.01)
                continue
            try:
                await self.ledger.reserve(row)
            except LedgerClosed:
                self.book.take_back(row.id)
                continue
            os.write(self.reserved, f"{row.id}\n".encode())
            await self.ask(row)

    async def ask(self, row: Reservation) -> None:
        """Dispatch, read, settle; at times leave in the middle."""
        gap, tokens = self.random.choice((0, 1, 3)), self.random.randint(1, 60)
        said = {"role": "user", "content": f"@@tokens={tokens},gap={gap}@@ {row.id}"}
        body = msgspec.json.encode({"model": "sim/echo-small", "messages": [said], "stream": True})
        try:
            reply = await self.caller.ask(self.live, "/v1/chat/completions", body, headers={}, connect_seconds=5)
        except UpstreamFailure as failure:
            if not failure.reached or failure.refused:
                self.write(Settlement(id=row.id, at_milliseconds=wall_milliseconds(), pico=0, source=CostSource.UNSENT))
            return
        generation = reply.headers["x-generation-id"]
        self.write(Dispatch(id=row.id, generation=generation, at_milliseconds=wall_milliseconds()))
        leaves = self.random.random() < 0.1
        raw = b""
        try:
            while part := await reply.read():
                raw += part
                if leaves and len(raw) > 600:
                    break
        finally:
            reply.cut()
        costs = [cost_of_answer(line[6:]) for line in raw.split(b"\n") if line.startswith(b"data: {")]
        cost = next((one for one in costs if one is not None), None)
        if cost is None:
            self.pursuit.pursue(OpenAttempt(row, generation))
        else:
            self.write(
                Settlement(id=row.id, at_milliseconds=wall_milliseconds(), pico=cost, source=CostSource.PROVIDER)
            )


def main() -> None:
    """Fork one process per line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: they vanish when they die
    for line in sys.stdin.buffer:
        spec = msgspec.json.decode(line, type=Spec)
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(Front(spec).run())
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
