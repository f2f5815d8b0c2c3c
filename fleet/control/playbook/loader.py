"""A playbook file -> Playbook. Every mistake has its place; what a later release does is refused, never ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.yamlsource import KeyPath, Positioned, load_yaml
from fleet.control.playbook.convert import NOT_YET, Reader, shown
from fleet.control.playbook.facts import FACT_NAMES
from fleet.control.playbook.health import CHECKS
from fleet.control.playbook.playbook import HealthCheck, Play, Playbook, Task
from fleet.control.playbook.predicates import TESTS, All, AnyOf, FactTest, Not, Predicate
from fleet.control.playbook.strategy import Strategy
from fleet.control.playbook.tasks import KINDS, LATER_KINDS, CustomDaemon
from fleet.errors import PlaybookError

PLAY_KEYS = ("name", "hosts", "strategy", "tasks", "health", "hooks")
TASK_KEYS = ("name", "tags", "when", "sensitive")
_PREDICATES = (*TESTS, "all", "any", "not")


def load_playbook(path: Path) -> Playbook:
    """The playbook of a file. Raises PlaybookError with every mistake that was found."""
    playbook, findings = read_playbook(load_yaml(path, error=PlaybookError), path)
    if findings:
        first, *more = findings
        raise PlaybookError(
            first.message,
            place=first.place,
            hint=first.hint,
            detail="\n".join(f"{finding.place}: {finding.message}" for finding in more),
        )
    return playbook


def read_playbook(document: Positioned, path: Path) -> tuple[Playbook, tuple[Finding, ...]]:
    """The playbook as far as it can be read, and what is wrong with it."""
    reader = Reader(document)
    if not isinstance(document.value, list):
        reader.error(
            (), f"a playbook is a list of plays, found {shown(document.value)}", hint="begin with `- name: ...`"
        )
        return Playbook(path=path, plays=()), tuple(reader.findings)
    if not document.value:
        reader.error((), "a playbook without plays")
    plays = [_play(reader, value, (index,)) for index, value in enumerate(document.value)]
    names: dict[str, str] = {}
    for play in plays:
        if play is not None and play.name and names.setdefault(play.name, play.place) != play.place:
            message = f"two plays are called {play.name!r}, the first at {names[play.name]}"
            reader.findings.append(Finding(play.place, "error", message))
    return Playbook(path=path, plays=tuple(play for play in plays if play)), tuple(reader.findings)


def _play(reader: Reader, value: object, path: KeyPath) -> Play | None:
    play = reader.mapping(value, path, what="play", known=PLAY_KEYS)
    if play is None:
        return None
    for key in ("name", "hosts", "tasks"):
        if key not in play:
            reader.error(path, f"play: `{key}` is missing")
    if "hooks" in play:
        reader.error((*path, "hooks"), f"`hooks` {NOT_YET}", key=True)
    tasks = reader.items(play.get("tasks", []), (*path, "tasks"), what="tasks")
    checks = reader.items(play.get("health", []), (*path, "health"), what="health")
    read = [_task(reader, task, (*path, "tasks", index)) for index, task in enumerate(tasks)]
    health = [_check(reader, check, (*path, "health", index)) for index, check in enumerate(checks)]
    return Play(
        name=reader.word(play["name"], (*path, "name"), what="name") if "name" in play else "",
        hosts=reader.word(play["hosts"], (*path, "hosts"), what="hosts") if "hosts" in play else "",
        place=reader.document.place(path),
        strategy=_strategy(reader, play["strategy"], (*path, "strategy")) if "strategy" in play else Strategy(),
        tasks=tuple(task for task in read if task),
        health=tuple(check for check in health if check),
    )


def _strategy(reader: Reader, value: object, path: KeyPath) -> Strategy:
    if not isinstance(value, dict):
        reader.error(path, f"strategy: expected a mapping, found {shown(value)}")
        return Strategy()
    strategy: Strategy | None = reader.struct(value, Strategy, path, what="strategy")
    return strategy or Strategy()


def _task(reader: Reader, value: object, path: KeyPath) -> Task | None:
    task = reader.mapping(value, path, what="task", known=(*TASK_KEYS, *KINDS, *LATER_KINDS))
    if task is None:
        return None
    name = reader.word(task["name"], (*path, "name"), what="name") if "name" in task else ""
    if "name" not in task:
        reader.error(path, "task: `name` is missing")
    for later in LATER_KINDS:
        if later in task:
            reader.error((*path, later), f"`{later}` {NOT_YET}", key=True)
    kind = reader.only_key(task, path, KINDS, what="task") if not set(LATER_KINDS) & set(task) else None
    action = _action(reader, kind, task[kind], (*path, kind)) if kind else None
    tags = reader.items(task.get("tags", []), (*path, "tags"), what="tags")
    when = _predicate(reader, task["when"], (*path, "when")) if "when" in task else None
    sensitive = task.get("sensitive", False)
    if not isinstance(sensitive, bool):
        reader.error((*path, "sensitive"), f"sensitive: expected true or false, found {shown(sensitive)}")
    if kind is None or action is None:
        return None
    return Task(
        name=name,
        kind=kind,
        action=action,
        place=reader.document.place(path),
        tags=tuple(reader.word(tag, (*path, "tags", index), what="tags") for index, tag in enumerate(tags)),
        when=when,
        sensitive=sensitive is True,
    )


def _action(reader: Reader, kind: str, value: object, path: KeyPath) -> Any:
    shapes = KINDS[kind]
    if len(shapes) == 1:
        return reader.struct(value, shapes[0], path, what=kind)
    if not isinstance(value, dict):
        reader.error(path, f"{kind}: expected a mapping, found {shown(value)}")
        return None
    services = {service_of(shape): shape for shape in shapes if shape is not CustomDaemon}
    if "service" not in value:
        near = next((hint for hint in (did_you_mean(str(key), ("service",)) for key in value) if hint), "")
        if "label" not in value:
            reader.error(path, "daemon: expected `service` (one of fleet's) or `label` (one of your own)", hint=near)
            return None
        return reader.struct(value, CustomDaemon, path, what=kind)
    service = value["service"]
    if not isinstance(service, str) or service not in services:
        hint = did_you_mean(str(service), services) or "a daemon of your own has a `label` and no `service`"
        expected = ", ".join(services)
        reader.error((*path, "service"), f"daemon.service: expected {expected}, found {shown(service)}", hint=hint)
        return None
    return reader.struct(value, services[service], path, what=f"daemon ({service})")


def service_of(shape: Any) -> str:
    """The one value of a daemon struct's `service`."""
    (word,) = get_args(get_type_hints(shape)["service"])
    return str(word)


def _check(reader: Reader, value: object, path: KeyPath) -> HealthCheck | None:
    kind = reader.only_key(value, path, CHECKS, what="health")
    if kind is None or not isinstance(value, dict):
        return None
    for key in value:
        if key != kind:
            reader.error((*path, key), f"health: unknown key `{key}`", hint=f"it belongs inside `{kind}`", key=True)
    check = reader.struct(value[kind], CHECKS[kind], (*path, kind), what=kind)
    return HealthCheck(check=check, place=reader.document.place(path)) if check else None


def _predicate(reader: Reader, value: object, path: KeyPath) -> Predicate | None:
    kind = reader.only_key(value, path, _PREDICATES, what="when")
    if kind is None or not isinstance(value, dict):
        return None
    if kind in TESTS:
        test: Predicate | None = reader.struct(value, TESTS[kind], path, what=f"when.{kind}")
        if isinstance(test, FactTest) and test.fact not in FACT_NAMES:
            hint = did_you_mean(test.fact, FACT_NAMES) or f"facts: {', '.join(FACT_NAMES)}"
            reader.error((*path, "fact"), f"when: there is no fact {test.fact!r}", hint=hint)
        return test
    reader.mapping(value, path, what="when", known=(kind,))
    if kind == "not":
        part = _predicate(reader, value["not"], (*path, "not"))
        return Not(part) if part else None
    items = reader.items(value[kind], (*path, kind), what=f"when.{kind}")
    if not items and isinstance(value[kind], list):
        reader.error((*path, kind), f"when.{kind}: an empty list")
    parts = [_predicate(reader, item, (*path, kind, index)) for index, item in enumerate(items)]
    known = tuple(part for part in parts if part)
    return All(known) if kind == "all" else AnyOf(known)
