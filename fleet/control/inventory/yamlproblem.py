"""What a YAML parser's complaint means to the person who wrote the file. Pure; total."""

from __future__ import annotations

from typing import NamedTuple

import yaml


class Problem(NamedTuple):
    """A complaint in words; line and column count from 1."""

    line: int
    column: int
    title: str
    detail: str
    hint: str


_MEANINGS = (
    (r"character '\t' that cannot start", "a tab where YAML wants spaces", "indent with spaces only"),
    ("character '`'", "a value cannot begin with `", "put the value in quotes"),
    ("character '@'", "a value cannot begin with @", "put the value in quotes"),
    ("character '%'", "a value cannot begin with %", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a colon where no key can be",
        "a value that holds `: ` needs quotes, every name above needs its colon, and neighbours line up",
    ),
    (
        "could not find expected ':'",
        "a key without its colon",
        "write `name:`, also for a node without variables; a longer text needs quotes",
    ),
    ("expected <block end>", "this line's indentation fits none above it", "line it up with its neighbours"),
    ("unexpected end of stream", "a quote that is never closed", "close it"),
    (
        "expected ',' or '}'",
        "a { that is not closed, or a comma that is missing",
        "close it with }, or put a comma between entries",
    ),
    (
        "expected ',' or ']'",
        "a [ that is not closed, or a comma that is missing",
        "close it with ], or put a comma between items",
    ),
    ("found '<stream end>'", "the file ends where a value is expected", "close every [ with ] and every { with }"),
    ("expected the node content", "something that is no value", "close what is open; text that begins so needs quotes"),
    ("sequence entries are not allowed", "a list item where none can be", "begin the list on a line of its own"),
    ("unknown escape character", "an unknown escape in double quotes", r"write \\ for \, or use single quotes"),
    ("duplicate anchor", "an anchor is named twice", "give each its own name"),
)


def explain_problem(problem: yaml.YAMLError, text: str) -> Problem:
    """`problem` of `text` for a person: where, what it means, what to do."""
    if isinstance(problem, yaml.reader.ReaderError):
        before = text[: problem.position] if isinstance(problem.position, int) else ""
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        code = problem.character if isinstance(problem.character, int) else ord(str(problem.character)[:1] or "\0")
        title = f"the character U+{code:04X} cannot stand in YAML"
        return Problem(line, column, title, "", 'write it as an escape in double quotes, like "\\x07"')
    if not isinstance(problem, yaml.MarkedYAMLError):
        return Problem(1, 1, "this is not YAML", str(problem), "")
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = str(problem.problem or problem.context or "")
    title, hint = next(
        ((title, hint) for sign, title, hint in _MEANINGS if sign in said), (f"this is not YAML: {said}", "")
    )
    opened = problem.context_mark
    if opened and ("unexpected end of stream" in said or "expected ',' or" in said):
        return Problem(opened.line + 1, opened.column + 1, title, "", hint)
    detail = ""
    if problem.context and opened and opened.line + 1 != line:
        detail = f"{problem.context} that begins on line {opened.line + 1}"
    return Problem(line, column, title, detail, hint)
