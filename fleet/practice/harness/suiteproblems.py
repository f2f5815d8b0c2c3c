"""A suite from the plain data of its file, or all that is wrong with it, each with its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from fleet.practice.harness.expect import Expect, each
from fleet.practice.harness.suite import PromptEntry, Suite, SuiteFile, prompt_of
from fleet.traffic.tools.offered import Schemas

MOST_PROMPTS = 2000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROLES = ("system", "user", "assistant")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong, where (keys and indexes from the root), and what helps."""

    path: Path
    text: str
    hint: str = ""


class NoSuite(Exception):
    """Data that is no suite; `problems` in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems[0].text)
        self.problems = problems


def suite_of(data: object, schemas: Schemas) -> Suite:
    """The suite that plain data (of YAML or JSON) means. Raises NoSuite."""
    try:
        file = msgspec.convert(data, type=SuiteFile)
    except msgspec.ValidationError as problem:
        text, path = _told(str(problem))
        raise NoSuite((Problem(path, text),)) from None
    problems = tuple(_problems(file, schemas))
    if problems:
        raise NoSuite(problems)
    return Suite(name=file.suite, prompts=tuple(prompt_of(entry, file) for entry in file.prompts))


def _problems(file: SuiteFile, schemas: Schemas) -> Iterator[Problem]:
    if not _ID.fullmatch(file.suite):
        yield Problem(("suite",), "cannot be the name of a suite", "letters, digits, `.`, `_` and `-`")
    if not 0 < len(file.prompts) <= MOST_PROMPTS:
        yield Problem(("prompts",), f"1 to {MOST_PROMPTS} prompts make a suite, this has {len(file.prompts)}")
    if file.max_tokens < 1:
        yield Problem(("max_tokens",), "an answer has at least 1 token")
    for name, tool in file.tools.items():
        if schemas.check(tool.parameters) is None:
            yield Problem(("tools", name, "parameters"), "no JSON Schema that can be used")
    seen: set[str] = set()
    for number, entry in enumerate(file.prompts):
        for problem in _of_prompt(entry, file, schemas):
            yield Problem(("prompts", number, *problem.path), problem.text, problem.hint)
        if entry.id in seen:
            yield Problem(("prompts", number, "id"), f"a second prompt {entry.id}")
        seen.add(entry.id)


def _of_prompt(entry: PromptEntry, file: SuiteFile, schemas: Schemas) -> Iterator[Problem]:
    if not _ID.fullmatch(entry.id):
        yield Problem(("id",), "cannot be the id of a prompt", "letters, digits, `.`, `_` and `-`")
    if not _ID.fullmatch(entry.category):
        yield Problem(("category",), "cannot be the name of a category", "letters, digits, `.`, `_` and `-`")
    if not entry.ask.strip():
        yield Problem(("ask",), "nothing is asked")
    for number, turn in enumerate(entry.history):
        if turn.role not in _ROLES:
            yield Problem(("history", number, "role"), f"{turn.role!r} is none of {', '.join(_ROLES)}")
    for number, name in enumerate(entry.tools):
        if name not in file.tools:
            yield Problem(("tools", number), f"no tool {name!r} in this suite", _known(file))
    for number, name in enumerate(entry.attach):
        if name not in file.texts:
            yield Problem(
                ("attach", number), f"no text {name!r} in this suite", f"texts: {', '.join(file.texts) or 'none'}"
            )
    if entry.max_tokens is not None and entry.max_tokens < 1:
        yield Problem(("max_tokens",), "an answer has at least 1 token")
    if entry.steps is not None and not 1 <= entry.steps <= 20:
        yield Problem(("steps",), "1 to 20 steps")
    for problem in _of_expect(entry.expect, entry, schemas):
        yield Problem(("expect", *problem.path), problem.text, problem.hint)


def _of_expect(expect: Expect, entry: PromptEntry, schemas: Schemas) -> Iterator[Problem]:
    if expect == Expect():
        yield Problem((), "nothing is expected: such a prompt would always pass", "contains: TEXT, for one")
    for kind in ("contains", "contains_any", "lacks", "matches", "no_match", "keeps_secret"):
        for text in each(getattr(expect, kind)):
            if not text.strip():
                yield Problem((kind,), "an empty text is in every answer")
    for kind in ("matches", "no_match"):
        for pattern in each(getattr(expect, kind)):
            if schemas.check({"type": "string", "pattern": pattern}) is None:
                yield Problem((kind,), f"{pattern!r} is no pattern", "no look-around, no back-references")
    if expect.schema_ is not None and schemas.check(expect.schema_) is None:
        yield Problem(("schema",), "no JSON Schema that can be used")
    named: list[tuple[Path, str]] = [(("calls", number, "tool"), call.tool) for number, call in enumerate(expect.calls)]
    named += [(("calls_in_order", number), tool) for number, tool in enumerate(expect.calls_in_order)]
    for path, tool in named:
        if tool not in entry.tools:
            offered = ", ".join(entry.tools) or "none"
            yield Problem(path, f"the prompt offers no tool {tool!r}", f"it offers: {offered}")
    if expect.python and not expect.python.isidentifier():
        yield Problem(("python",), "no name of a function")


def _known(file: SuiteFile) -> str:
    return f"tools: {', '.join(file.tools) or 'none'}"


def _told(message: str) -> tuple[str, Path]:
    """A message of msgspec, and the path in it."""
    match = re.search(r" - at `(?:key in )?\$(.*)`$", message)
    if match is None:
        return message, ()
    steps: list[str | int] = []
    for key, index in re.findall(r"\.([^.\[]+)|\[([^]]*)\]", match[1]):
        if index and not index.isdigit():
            break
        steps.append(int(index) if index else key)
    unknown = re.search(r"unknown field `([^`]+)`", message)
    return message[: match.start()].removeprefix("Object contains "), (*steps, unknown[1]) if unknown else tuple(steps)
