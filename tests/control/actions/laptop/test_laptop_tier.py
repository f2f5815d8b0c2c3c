"""A laptop tier for real: gateway, sidecar and guard as processes, and the machine's words out of files.

`make show-laptop` shows it; it waits for real models, so it is no part of the suite.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.control.actions.laptop.plan import LaptopPlan
from fleet.sim.models.tiny import make_tiny
from fleet.sim.ports import free_port
from tests.integration.story import until

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(300)]
SAYS = {
    "pmset": "Now drawing from 'AC Power'\n",
    "notifyutil": "com.apple.system.thermalpressurelevel 0\n",
    "sysctl": "1\n",
}


class Laptop:
    """A machine whose pmset, notifyutil and sysctl say what a file says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "inventory").mkdir()
        (folder / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: {}}}\n")
        for name, text in SAYS.items():
            script = folder / "bin" / name
            script.write_text(f"#!/bin/sh\nexec cat '{folder}/{name}.txt'\n")
            script.chmod(0o755)
            self.says(name, text)
        make_tiny(folder / "model", scripted=True)
        self.port = free_port()

    def says(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.replace(self.folder / f"{name}.txt")

    def fleet(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        answer = subprocess.run(
            (sys.executable, "-m", "fleet", "laptop", *words),
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert expect is None or answer.returncode == expect, answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr
        return answer

    def up(self, expect: int = 0) -> subprocess.CompletedProcess[str]:
        return self.fleet("up", "--model", "model", "--port", str(self.port), expect=expect)

    def asks(self) -> tuple[int, str]:
        key = (self.folder / ".fleet" / "laptop" / "client.key").read_text().strip()
        body = json.dumps({"model": "laptop", "messages": [{"role": "user", "content": "hello?"}]}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions", data=body, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def state(self) -> str:
        found = json.loads(self.fleet("status", "--json", expect=None).stdout)["status"]
        return "down" if found is None else f"{found['state']} {found['reason']}".strip()

    def processes(self) -> str:
        listing = subprocess.run(("ps", "-axww", "-o", "command="), capture_output=True, text=True, check=True).stdout
        return "\n".join(line for line in listing.splitlines() if str(self.folder / ".fleet") in line)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    made = Laptop(tmp_path)
    yield made
    made.fleet("down", expect=None)
    assert made.processes() == ""


def test_it_answers_stops_on_battery_and_is_down_whatever_became_of_its_keeper(laptop: Laptop) -> None:
    assert "answers at" in laptop.up().stdout
    assert laptop.asks() == (200, "Hello from the scripted model.")
    assert "is up already" in laptop.up().stderr

    laptop.says("pmset", "Now drawing from 'Battery Power'\n")
    until(lambda: laptop.state() == "stopped it runs on battery")
    status, why = laptop.asks()
    assert status == 503
    assert "drained" in why

    os.kill(int((laptop.folder / ".fleet" / "laptop" / "keeper.lock").read_text()), signal.SIGKILL)
    until(lambda: laptop.state() == "down")
    assert laptop.processes() != ""
    assert "had left: 1 process" in laptop.fleet("down").stderr
    until(lambda: laptop.processes() == "")
    assert "it was not up" in laptop.fleet("down").stdout

    assert "it runs on battery" in laptop.up(expect=1).stderr
    assert laptop.processes() == ""


def test_it_comes_back_when_the_machine_has_been_well_for_a_while(laptop: Laptop) -> None:
    laptop.up()
    plan = laptop.folder / ".fleet" / "laptop" / "laptop.json"
    assert LaptopPlan(**json.loads(plan.read_text())).well_seconds == 120
    laptop.fleet("down")
    quick = {**json.loads(plan.read_text()), "well_seconds": 1.0, "every_seconds": 0.5}
    plan.write_text(json.dumps(quick))
    keeper = subprocess.Popen(
        (sys.executable, "-m", "fleet.control.actions.laptop.keeper", str(plan.parent)),
        env={**os.environ, "PATH": f"{laptop.folder / 'bin'}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        until(lambda: laptop.state() == "running" and laptop.asks()[0] == 200)
        laptop.says("sysctl", "4\n")
        until(lambda: laptop.state() == "stopped memory pressure is critical")
        laptop.says("sysctl", "1\n")
        until(lambda: laptop.state() == "running" and laptop.asks()[0] == 200)
    finally:
        laptop.fleet("down")
        keeper.wait(60)
