"""`fleet harness run`: a run that is begun or goes on, with a door for every target."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fleet.control.actions.harnesssuite import load_suite
from fleet.control.inventory.project import Project
from fleet.control.supply.secrets import resolve_secret
from fleet.errors import UsageError
from fleet.practice.harness.door import Door
from fleet.practice.harness.prepare import Prepared
from fleet.practice.harness.results import RunHead
from fleet.practice.harness.run import Run
from fleet.practice.harness.store import begin_run, folder_of, read_run, runs_in
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.targets import FRONT, TargetSpec
from fleet.practice.harness.urldoor import UrlDoor

LATEST = "last"
FOLDER = "harness"


def opener(project: Project, front: Callable[[], Door]) -> Callable[[TargetSpec], Door]:
    """What opens the door of a target: all that go through the front share one. Keys are looked up when needed."""
    opened: list[Door] = []

    def open_door(spec: TargetSpec) -> Door:
        if spec.where == FRONT:
            if not opened:
                opened.append(front())
            return opened[0]
        return UrlDoor(spec.where, key=resolve_secret(spec.key, project) if spec.key else None)

    return open_door


def runs_folder(project: Project) -> Path:
    """Where runs lie. They hold no prompts and no answers: they can be committed."""
    return project.root / FOLDER


def begun(
    project: Project, suite: Suite, found: Prepared, *, suite_file: str, name: str | None, repeats: int, now: datetime
) -> tuple[Path, Run]:
    """A new run, its plan on the disk. Raises UsageError: there is one of that name."""
    base = runs_folder(project)
    name = name or _free_name(base, now)
    folder = folder_of(base, name)
    head = RunHead(
        run=name,
        suite=suite.name,
        suite_file=suite_file,
        suite_digest=suite.digest,
        prompts=tuple(prompt.head for prompt in suite.prompts),
        targets=found.targets,
        started_milliseconds=round(now.timestamp() * 1000),
        repeats=repeats,
    )
    begin_run(folder, head)
    return folder, read_run(folder)


def run_named(project: Project, name: str) -> tuple[Path, Run]:
    """The run of that name; `last` is the one that was begun last. Raises UsageError."""
    base = runs_folder(project)
    names = runs_in(base)
    if name == LATEST:
        if not names:
            raise UsageError("there is no run yet", hint="fleet harness run makes one")
        name = names[0]
    folder = folder_of(base, name)
    if name not in names:
        known = ", ".join(names[:5]) or "none"
        raise UsageError(f"there is no harness run {name!r}", hint=f"runs, the last one first: {known}")
    return folder, read_run(folder)


def suite_of_run(project: Project, run: Run) -> Suite:
    """The suite that a run began with. Raises UsageError when it has been changed since."""
    head = run.head
    suite = load_suite(project, head.suite_file).only(frozenset(prompt.id for prompt in head.prompts))
    if {prompt.head for prompt in suite.prompts} != set(head.prompts):
        raise UsageError(
            f"the suite {head.suite_file} is not what it was when {head.run} began",
            hint="results of two suites are no one run: begin another, without --resume",
        )
    return suite


def _free_name(base: Path, now: datetime) -> str:
    stem = now.strftime("%Y-%m-%d-%H%M")
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    return next(name for name in names if not (base / name).exists())
