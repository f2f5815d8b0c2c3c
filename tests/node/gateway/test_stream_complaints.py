"""COMPLAINTS.md keeps its word: every report is there, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LIST = (HERE / "COMPLAINTS.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", LIST)
REPORTS = {
    "Portkey": "1797",
    "9router": "4080",
    "LiteLLM": "40260 40404 19077 6957 25843 36267 27967 25321 17364 30244 30245 31499 30223 37140 36126 14304 "
    "12685 15128 25219 27954 21908 38193 6404 34732 26672 33325 30661 20886 28247 30460 36926 38157 34805 35531 34820 "
    "8913 16021 16162 38538 38507 36008 33329",
    "OmniRoute": "8210",
    "pi": "7441",
    "oh-my-pi": "9433",
    "sglang": "3912",
    "ollama": "4357",
    "openclaude": "1259",
    "free-claude-code": "206",
    "Bifrost": "3164 7199 3547",
    "otari": "256",
    "opencode": "454",
    "openclaw": "49753 68707 115382 153957",
    "Granian": "286 412 650 917",
    "llama.cpp": "24496",
    "ik_llama.cpp": "1929",
    "production-stack": "448 569",
    "BerriAI/litellm": "24512 24518 24521",
}
"""Those of SPEC sections 3.1 to 3.4."""


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_every_named_test_exists(file: str, name: str) -> None:
    path = (ROOT if "/" in file else HERE) / file
    assert name in functions_of(path)


@pytest.mark.parametrize("project", REPORTS)
def test_every_report_is_on_the_list(project: str) -> None:
    for number in REPORTS[project].split():
        assert re.search(rf"(?<![\w-]){re.escape(project)}(?: PR)?#{number}\b", LIST), f"{project}#{number}"


def test_every_complaint_has_a_test() -> None:
    rows = [line for line in LIST.splitlines() if line.startswith("| ") and "| tests |" not in line]
    assert len(rows) > 20
    assert [row for row in rows if "::" not in row] == []
