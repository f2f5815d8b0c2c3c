"""How far a run is, on stderr: a bar per target on a terminal, a few lines anywhere else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fleet.cli.context import narrate
from fleet.practice.harness.results import Absent, Finished, Line, Outcome
from fleet.practice.harness.run import Run

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUARTERS = 4


class HarnessProgress:
    """Use as a context; `tell` may be called by many threads, one at a time."""

    def __init__(self, run: Run, *, bars: bool) -> None:
        self._wanted = len(run.head.prompts) * run.head.repeats
        missing = Counter(key[0] for key in run.missing)
        self._done = {target.name: self._wanted - missing[target.name] for target in run.head.targets}
        self._passed = Counter(one.target for one in run.finished.values() if one.outcome is Outcome.PASSED)
        self._bars = bars
        self._picture: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> HarnessProgress:
        if self._bars:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
                refresh_per_second=4,
            )
            for name, done in self._done.items():
                self._tasks[name] = progress.add_task(name, total=self._wanted, completed=done, note=self._note(name))
            progress.start()
            self._picture = progress
        return self

    def __exit__(self, *exc: object) -> None:
        if self._picture is not None:
            self._picture.stop()
            self._picture = None

    def say(self, text: str) -> None:
        """A sentence for the person, above the bars."""
        if self._picture is None:
            narrate(text)
        else:
            self._picture.console.print(text, highlight=False, markup=False)

    def tell(self, line: Line) -> None:
        """A result came, or a target went."""
        if isinstance(line, Absent):
            word = "asked no further" if self._done[line.target] else "not measured"
            self.say(f"{line.target}: {word}: {line.why}")
            self._draw(line.target, word)
        if not isinstance(line, Finished) or line.outcome is Outcome.UNMEASURED:
            return
        name = line.target
        self._done[name] += 1
        self._passed[name] += line.outcome is Outcome.PASSED
        quarters = [done * _QUARTERS // self._wanted for done in (self._done[name] - 1, self._done[name])]
        if self._picture is not None:
            self._draw(name, self._note(name))
        elif quarters[0] < quarters[1]:
            narrate(f"{name}: {self._done[name]} of {self._wanted}, {self._note(name)}")

    def _note(self, name: str) -> str:
        return f"{self._passed[name]} passed"

    def _draw(self, name: str, note: str) -> None:
        if self._picture is not None:
            self._picture.update(self._tasks[name], completed=self._done[name], note=note)
