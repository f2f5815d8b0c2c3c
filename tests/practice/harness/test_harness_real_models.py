"""The harness against real servers: fifty prompts at a scripted model and two simulated APIs, eight at SmolLM2."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_api import simulated_openrouter
from test_harness_run import FIFTY, go

from fleet.control.supply.cache import Cache
from fleet.engines import SidecarSpec, engine
from fleet.errors import SupplyError
from fleet.practice.harness.door import Door
from fleet.practice.harness.prepare import check_ceiling, prepared
from fleet.practice.harness.results import Finished, RunHead
from fleet.practice.harness.store import begin_run, read_run
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.suiteproblems import suite_of
from fleet.practice.harness.targets import TargetSpec, target_spec
from fleet.practice.harness.urldoor import UrlDoor
from fleet.sim.models.shelf import NAMES, RECIPE, shelve
from fleet.sim.ports import free_port
from fleet.sim.upstreams.openrouter import KEY
from fleet.traffic.tools.offered import Schemas
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Tier
from fleet.vocabulary.secret import Secret

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]
PATIENCE_SECONDS = 120.0


@contextmanager
def serving(short_name: str, folder: Path) -> Iterator[str]:
    """A real `mlx_lm server` of a model of the simulation; gives its base URL."""
    pytest.importorskip("mlx_lm")
    try:
        shelve(short_name, folder / "models", notify=lambda text: None)
    except SupplyError as missing:
        pytest.skip(str(missing))
    model = Cache().root / "sim-models" / f"{short_name}-{RECIPE}" / NAMES[short_name]
    port = free_port()
    spec = SidecarSpec(
        name="chat", model_path=str(model), serves="chat", port=port, hub_dir=str(folder / "hf"),
        environment={"MLX_DISABLE_COMPILE": "1"},
    )  # fmt: skip
    command = engine("mlx_lm").command(spec)
    for directory in map(Path, command.directories):
        directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **command.environment}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-s", *command.argv_tail], env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not _healthy(port):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until, (folder / "server.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def open_door(spec: TargetSpec) -> Door:
    return UrlDoor(spec.where, key=Secret(KEY) if spec.key else None)


def planned(folder: Path, suite: Suite, *targets: str, ceiling_pico: int) -> dict[str, Door]:
    """The run on disk, as the verb would begin it."""
    found = prepared([target_spec(text) for text in targets], open_door)
    check_ceiling(found, ceiling_pico)
    prompts = tuple(prompt.head for prompt in suite.prompts)
    begin_run(
        folder,
        RunHead(
            run="all", suite=suite.name, suite_file=suite.name, suite_digest=suite.digest, prompts=prompts,
            targets=found.targets, started_milliseconds=1,
        ),
    )  # fmt: skip
    return dict(found.doors)


def cut_short(suite: Suite) -> Suite:
    """The same prompts with the beginnings of their texts and one tool: a CPU reads long ones slowly."""
    prompts = []
    for prompt in suite.prompts:
        messages = tuple({**message, "content": message["content"][:300]} for message in prompt.messages)
        tools = dict(tuple(prompt.tools.items())[:1])
        prompts.append(replace(prompt, messages=messages, tools=tools, max_tokens=60))
    return replace(suite, prompts=tuple(prompts))


@pytest.mark.parametrize(
    "suite", [cut_short(FIFTY), pytest.param(FIFTY, marks=pytest.mark.long)], ids=["short", "whole"]
)
def test_fifty_prompts_at_three_models_interrupted_and_resumed_and_never_above_the_ceiling(
    tmp_path: Path, suite: Suite
) -> None:
    folder, ceiling = tmp_path / "run", PICO_PER_USD // 50
    with serving("scripted", tmp_path) as scripted, simulated_openrouter() as api:
        base, stop, seen = f"http://127.0.0.1:{api.port}/api/v1", threading.Event(), list[object]()
        doors = planned(
            folder,
            suite,
            f"own={scripted},model=default_model",
            f"small={base},model=sim/echo-small,key=env:K,tier=api",
            f"large={base},model=sim/echo-large,key=env:K,tier=api",
            ceiling_pico=ceiling,
        )

        def tell(line: object) -> None:
            seen.append(line)
            if len(seen) == 20:
                stop.set()

        first = go(folder, suite, doors, ceiling_pico=ceiling, stop=stop, tell=tell)
        assert first.ended == "interrupted"
        again = go(folder, suite, doors, ceiling_pico=ceiling)
        own, _, large = again.targets
        assert (own.prompts, own.pass_pico, own.tier) == (50, 0, Tier.LAPTOP)
        assert large.why == "the cost ceiling"
        assert 0 < api.bill.total_pico <= again.spent_pico <= ceiling
        whole = go(folder, suite, doors, ceiling_pico=PICO_PER_USD)
        assert whole.complete
        assert api.bill.total_pico == whole.spent_pico == sum(one.pass_pico or 0 for one in whole.targets)
        requests = sum(one.steps for one in read_run(folder).finished.values() if one.target != "own")
        assert len(api.bill.generations) == requests, "nothing was asked twice"
        asked = [one.request.json for one in api.exchanges if one.request.method == "POST"]
        assert {one["provider"]["max_price"]["prompt"] for one in asked} == {0.1, 5.0}
    # The scripted model calls get_weather for Paris whatever it is offered: the live scorer says what that is worth.
    assert own.tools.count > 10
    assert own.p95_first_token_seconds is not None


EIGHT = {
    "suite": "eight",
    "max_tokens": 10,
    "prompts": [
        {"id": f"q{number}", "category": "short", "ask": ask, "expect": {"contains": answer}}
        for number, (ask, answer) in enumerate(
            [
                ("What is the capital of France?", "Paris"), ("What is 2+2?", "4"), ("Say hello.", "hello"),
                ("What is the capital of Italy?", "Rome"), ("Name a color.", "blue"), ("What is cold?", "ice"),
                ("What is the capital of Spain?", "Madrid"), ("Name a fruit.", "apple"),
            ]
        )
    ],
}  # fmt: skip


def test_eight_short_prompts_at_smollm2(tmp_path: Path) -> None:
    suite, folder = suite_of(EIGHT, Schemas()), tmp_path / "run"
    with serving("smollm2", tmp_path) as base:
        doors = planned(folder, suite, f"laptop={base},model=default_model", ceiling_pico=0)
        (laptop,) = go(folder, suite, doors, ceiling_pico=0).targets
    assert (laptop.prompts, laptop.unmeasured, laptop.pass_pico) == (8, 0, 0)
    assert "q0" not in laptop.failed, "it knows the capital of France"
    assert laptop.completion_tokens is not None
    assert 8 <= laptop.completion_tokens <= 80
    one = read_run(folder).finished["laptop", "q0", 0]
    assert isinstance(one, Finished)
    assert one.first_token_seconds is not None
    assert one.seconds is not None
    assert 0 < one.first_token_seconds <= one.seconds
