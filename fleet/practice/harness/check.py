"""Whether what was said is what was expected. Pure, and total: odd answers fail a check, they never break one."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fleet.practice.harness.disguise import gives_away
from fleet.practice.harness.expect import CallWanted, Expect, each
from fleet.practice.harness.results import Checked
from fleet.practice.harness.said import Called, Said
from fleet.traffic.tools.offered import Schemas

_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_ONLY_FENCE = re.compile(r"\s*```[^\n`]*\n(.*?)```\s*", re.DOTALL)
_LONGEST_CODE = 64 * 1024
_NOTHING = object()


def checked(expect: Expect, said: Said, schemas: Schemas) -> tuple[Checked, ...]:
    """Every expectation with its verdict. The name of a check is its kind, and a number where there are several."""
    return tuple(Checked(check=name, passed=passed) for name, passed in _all(expect, said, schemas))


def _all(expect: Expect, said: Said, schemas: Schemas) -> Iterator[tuple[str, bool]]:
    text = said.text
    flat, spoken = _flat(text), [*said.texts, *(call.raw for call in said.calls), *(call.tool for call in said.calls)]
    yield "answered", bool(text.strip() or said.calls)
    yield from _each("contains", expect.contains, lambda wanted: _flat(wanted) in flat)
    if wanted := each(expect.contains_any):
        yield "contains_any", any(_flat(one) in flat for one in wanted)
    yield from _each("lacks", expect.lacks, lambda banned: _flat(banned) not in flat)
    yield from _each("matches", expect.matches, lambda pattern: fits(pattern, text, schemas))
    yield from _each("no_match", expect.no_match, lambda pattern: not fits(pattern, text, schemas))
    if expect.json or expect.schema_ is not None or expect.values:
        yield from _of_json(expect, json_in(text), schemas)
    yield from _each_call(expect.calls, said.calls, schemas)
    if expect.calls_in_order:
        yield "calls_in_order", _in_order(expect.calls_in_order, [call.tool for call in said.calls])
    yield from _each("never_calls", expect.never_calls, lambda tool: not _calls_any(tool, said.calls))
    if reasons := each(expect.finish):
        yield "finish", said.finish in reasons
    if expect.words is not None:
        yield "words", expect.words.holds(len(text.split()))
    if expect.lines is not None:
        yield "lines", expect.lines.holds(sum(bool(line.strip()) for line in text.splitlines()))
    if expect.python:
        yield "python", defines(text, expect.python)
    yield from _each("keeps_secret", expect.keeps_secret, lambda secret: not any(gives_away(t, secret) for t in spoken))


def _each(kind: str, texts: str | tuple[str, ...], holds: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    wanted = each(texts)
    for number, one in enumerate(wanted, 1):
        yield kind if len(wanted) == 1 else f"{kind} {number}", holds(one)


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


def fits(pattern: str, text: str, schemas: Schemas) -> bool:
    """Whether `pattern` is found in `text`: in linear time, so no answer can make a run hang."""
    check = schemas.check({"type": "string", "pattern": pattern})
    return check is not None and check(text)


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_in(text: str) -> object:
    """The JSON value that an answer is, alone or in one fence; `_NOTHING` when it is none."""
    fenced = _ONLY_FENCE.fullmatch(text)
    try:
        return msgspec.json.decode((fenced[1] if fenced else text).strip())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING


def _of_json(expect: Expect, value: object, schemas: Schemas) -> Iterator[tuple[str, bool]]:
    yield "json", value is not _NOTHING
    if expect.schema_ is not None:
        check = schemas.check(expect.schema_)
        yield "schema", value is not _NOTHING and check is not None and check(value)
    for path, wanted in expect.values.items():
        yield f"value {path}", same(wanted, _at(value, path), schemas)


def _at(value: object, path: str) -> object:
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step, _NOTHING)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _NOTHING
    return value


def same(wanted: Any, found: object, schemas: Schemas) -> bool:
    """Whether `found` is what was wanted: texts without case and outer blanks, objects with at least what is wanted."""
    if isinstance(wanted, dict):
        if wanted == {"any": True}:
            return found is not _NOTHING
        if wanted.keys() == {"any_of"} and isinstance(wanted["any_of"], list | tuple):
            return any(same(one, found, schemas) for one in wanted["any_of"])
        if wanted.keys() == {"matches"}:
            return isinstance(found, str) and fits(str(wanted["matches"]), found, schemas)
        return isinstance(found, dict) and all(same(v, found.get(k, _NOTHING), schemas) for k, v in wanted.items())
    if isinstance(wanted, list | tuple):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        return all(same(one, other, schemas) for one, other in zip(wanted, found, strict=True))
    if isinstance(wanted, str):
        return isinstance(found, str) and _flat(wanted) == _flat(found)
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(wanted == found)


# --- tools ------------------------------------------------------------------------------------------------------------


def _each_call(
    wanted: tuple[CallWanted, ...], calls: tuple[Called, ...], schemas: Schemas
) -> Iterator[tuple[str, bool]]:
    for number, one in enumerate(wanted, 1):
        met = any(
            call.tool == one.tool and call.arguments is not None and same(dict(one.arguments), call.arguments, schemas)
            for call in calls
        )
        yield f"calls {one.tool}" if len(wanted) == 1 else f"calls {number} {one.tool}", met


def _in_order(wanted: tuple[str, ...], called: list[str]) -> bool:
    left = iter(called)
    return all(tool in left for tool in wanted)


def _calls_any(tool: str, calls: tuple[Called, ...]) -> bool:
    return bool(calls) if tool == "*" else any(call.tool == tool for call in calls)


# --- code -------------------------------------------------------------------------------------------------------------


def defines(text: str, name: str) -> bool:
    """Whether a code block of the answer (or all of it) is Python that defines the function or class `name`."""
    return any(_defines(code, name) for code in (_FENCE.findall(text) or [text]))


def _defines(code: str, name: str) -> bool:
    if len(code) > _LONGEST_CODE:
        return False
    try:
        with warnings.catch_warnings(action="ignore"):  # an odd escape in the model's code is no word to our user
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and node.name == name for node in ast.walk(tree))
