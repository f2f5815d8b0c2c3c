"""A run, from where it stands to its end: every target by threads of its own, each line written as it comes."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from fleet.practice.harness.asker import PAUSES_SECONDS, Asker, NoMoney, Paper, Stopped
from fleet.practice.harness.door import Door
from fleet.practice.harness.purse import Purse
from fleet.practice.harness.results import (
    Absent,
    Begun,
    Ended,
    Finished,
    Line,
    Outcome,
    TargetHead,
    with_learned,
)
from fleet.practice.harness.run import Run
from fleet.practice.harness.store import RunBook
from fleet.practice.harness.suite import Prompt, Suite
from fleet.traffic.tools.offered import Schemas
from fleet.vocabulary.clock import Clock

_GIVE_UP_AFTER = 3
CEILING_WHY = "the cost ceiling"
INTERRUPTED = "interrupted"
_WHY = {
    "http_401": "its key is not known there (HTTP 401)",
    "http_402": "no credit is left there (HTTP 402)",
    "http_403": "its key may not ask there (HTTP 403)",
    "http_404": "there is no such model (HTTP 404)",
    "above_price": "it cost more than its stated price allows",
    "unreachable": "it cannot be reached",
}

Tell = Callable[[Line], None]
"""Hears every Finished and Absent, one at a time, from any thread."""


@dataclass(kw_only=True)
class _Lane:
    """What is left to do at one target, shared by its threads."""

    target: TargetHead
    work: deque[tuple[Prompt, int]]
    misses: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Session:
    """Everything that asking takes. `absent`: targets that have no door, and why. `learned`: see Begun.

    `concurrency`: prompts in flight at one target; targets are asked side by side. `stop` ends it early: what is in
    flight is finished. `interrupted` is called when ^C was heard.
    """

    run: Run
    suite: Suite
    doors: Mapping[str, Door]
    book: RunBook
    clock: Clock
    tell: Tell
    absent: Mapping[str, str] = field(default_factory=dict)
    learned: Sequence[TargetHead] = ()
    ceiling_pico: int | None = None
    concurrency: int = 2
    stop: threading.Event = field(default_factory=threading.Event)
    pauses_seconds: tuple[float, ...] = PAUSES_SECONDS
    interrupted: Callable[[], None] = lambda: None

    def go(self) -> None:
        """Ask all that is missing. A first interrupt (KeyboardInterrupt) lets what is in flight finish."""
        begun = Begun(at_milliseconds=self._now(), ceiling_pico=self.ceiling_pico, learned=tuple(self.learned))
        self.book.write(begun)
        lock = threading.Lock()
        numbers = itertools.count(self.run.requests)

        def write(line: Line) -> None:
            with lock:
                self.book.write(line)
                if isinstance(line, Finished | Absent):
                    self.tell(line)

        def number() -> str:
            with lock:
                return str(next(numbers))

        paper, purse = Paper(write=write, number=number), Purse(self.ceiling_pico, spent_pico=self.run.spent_pico)
        for name, why in self.absent.items():
            write(Absent(target=name, why=why, at_milliseconds=self._now()))
        crashed: list[BaseException] = []
        threads = [
            threading.Thread(target=self._guarded, args=(lane, paper, purse, crashed), daemon=True)
            for lane in self._lanes()
            for _ in range(min(self.concurrency, len(lane.work)))
        ]
        interrupted = self._through(threads)
        if crashed:
            raise crashed[0]
        stopped = interrupted or self.stop.is_set()
        self.book.write(Ended(at_milliseconds=self._now(), why=INTERRUPTED if stopped else ""))
        if interrupted:
            raise KeyboardInterrupt

    def _through(self, threads: Sequence[threading.Thread]) -> bool:
        """Start all, and wait until they have ended; whether somebody asked to stop.

        They are joined by a thread of its own: one whose join is interrupted would be taken for one that has ended
        (Python 3.11).
        """
        over: SimpleQueue[None] = SimpleQueue()

        def all_of_them() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            over.put(None)

        threading.Thread(target=all_of_them, daemon=True).start()
        try:
            over.get()
        except KeyboardInterrupt:
            self.stop.set()
            self.interrupted()
            over.get()
            return True
        return False

    def _lanes(self) -> list[_Lane]:
        prompts = {prompt.id: prompt for prompt in self.suite.prompts}
        lanes = {
            target.name: _Lane(target=target, work=deque())
            for target in with_learned(self.run.head.targets, self.learned)
            if target.name in self.doors
        }
        for name, prompt, repeat in self.run.missing:
            if name in lanes:
                lanes[name].work.append((prompts[prompt], repeat))
        return list(lanes.values())

    def _guarded(self, lane: _Lane, paper: Paper, purse: Purse, crashed: list[BaseException]) -> None:
        try:
            self._work(lane, paper, purse)
        except BaseException as problem:  # noqa: BLE001 (raised again by whoever waits for the threads)
            crashed.append(problem)
            self.stop.set()

    def _work(self, lane: _Lane, paper: Paper, purse: Purse) -> None:
        asker = Asker(
            target=lane.target,
            door=self.doors[lane.target.name],
            purse=purse,
            paper=paper,
            clock=self.clock,
            schemas=Schemas(),
            stop=self.stop,
            salt=self.run.head.run,
            pauses_seconds=self.pauses_seconds,
        )
        while not lane.why and not self.stop.is_set():
            try:
                prompt, repeat = lane.work.popleft()
                done = asker.finish(prompt, repeat)
            except (IndexError, Stopped):
                return
            except NoMoney:
                self._close(lane, CEILING_WHY, paper)
                return
            paper.write(done.finished)
            missed = done.finished.outcome is Outcome.UNMEASURED
            lane.misses = lane.misses + 1 if missed else 0
            if done.shut or lane.misses >= _GIVE_UP_AFTER:
                self._close(lane, _WHY.get(done.finished.problem, done.finished.problem), paper)

    def _close(self, lane: _Lane, why: str, paper: Paper) -> None:
        if not lane.why:
            lane.why = why
            paper.write(Absent(target=lane.target.name, why=why, at_milliseconds=self._now()))

    def _now(self) -> int:
        return round(self.clock.now().timestamp() * 1000)
