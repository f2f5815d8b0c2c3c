"""The `llm` command through the gateway, as its user types it: text, stream, and a tool of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.clients.conftest import SPEAKERS, Speaker
from tests.clients.rig.front import Front

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("clients"), pytest.mark.timeout(180)]

WEATHER = """def get_weather(city: str) -> str:
    "The weather of a city."
    return "sunny"
"""
Llm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def llm(gateway: Front, tmp_path_factory: pytest.TempPathFactory) -> Llm:
    """`llm` with a folder of its own, where docs/clients.md says to put the models."""
    folder = tmp_path_factory.mktemp("llm")
    models = [
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {gateway.url}/v1\n"
        f"  api_key_name: fleet\n  supports_tools: true\n"
        for name in (*(one.model for one in SPEAKERS.values()), "mock", "gpt-9")
    ]
    (folder / "extra-openai-models.yaml").write_text("".join(models))
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environment = {**kept, "HOME": str(folder), "LLM_USER_PATH": str(folder)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "llm", *words),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    assert run("keys", "set", "fleet", "--value", gateway.key).returncode == 0
    return run


@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_it_shows_the_answer_and_its_usage(llm: Llm, speaker: Speaker, how: str) -> None:
    words = ("--no-stream",) if how == "--no-stream" else ()
    answer = llm("-m", speaker.model, "--usage", *words, "hello?")
    assert answer.stdout.strip() == speaker.hello
    counted = re.search(r"Token usage: ([\d,]+) input, ([\d,]+) output", answer.stderr)
    assert counted is not None, answer.stderr
    assert int(counted[1].replace(",", "")) > 0
    assert int(counted[2].replace(",", "")) > 0


@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_its_tool_is_called_and_the_result_is_answered(llm: Llm, speaker: Speaker, how: str) -> None:
    words = ("--no-stream",) if how == "--no-stream" else ()
    answer = llm("-m", speaker.model, *words, "--functions", WEATHER, "--tools-debug", speaker.asks)
    assert speaker.told in answer.stdout
    assert "get_weather({'city': 'Paris'})" in answer.stderr


def test_an_error_is_one_line_and_a_failed_exit(llm: Llm) -> None:
    unknown = llm("-m", "gpt-9", "hello?")
    assert unknown.returncode != 0
    assert "there is no model 'gpt-9'" in unknown.stderr
    cut = llm("-m", "mock", "@@err=cut@@")
    assert cut.returncode != 0
    assert "Error" in cut.stderr
