"""The agent as a process: quiet, deaf to bad configuration, quick to end."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fleet.node.agent.__main__ import main
from fleet.sim.ports import free_port

ROOT = Path(__file__).parents[3]


def write(folder: Path, port: int, **changes) -> Path:
    token = folder / "token"
    token.write_text("a-token\n")
    token.chmod(0o600)
    settings = {
        "node": "mini-1",
        "port": port,
        "token_file": str(token),
        "readings": f"file:{folder}",
        "domain": "system",
        "launchctl": "/nonexistent/launchctl",
        "var_dir": str(folder),
    }
    path = folder / "agent.json"
    path.write_text(json.dumps(settings | changes))
    return path


def get(port: int, path: str):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": "Bearer a-token"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def test_it_answers_reloads_and_ends(tmp_path):
    port = free_port()
    path = write(tmp_path, port)
    argv = [sys.executable, "-s", "-m", "fleet.node.agent", "--config", str(path)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        assert "watches mini-1" in process.stderr.readline()
        assert get(port, "/v1/snapshot")["thermal"]["pressure_level"] is None
        (tmp_path / "thermal.txt").write_text("com.apple.system.thermalpressurelevel 2\n")
        write(tmp_path, port, node="mini-2")
        process.send_signal(signal.SIGHUP)
        assert "read its configuration again" in process.stderr.readline()
        snapshot = get(port, "/v1/snapshot")
        assert (snapshot["node"], snapshot["thermal"]["pressure_level"]) == ("mini-2", 2)
        path.write_text("{")
        process.send_signal(signal.SIGHUP)
        assert "keeps the old configuration" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def launchctl(tmp_path) -> Path:
    """A launchctl that has this very process run as the service."""
    path = tmp_path / "launchctl"
    printed = f"system/x = {{\\n\\tstate = running\\n\\truns = 1\\n\\tpid = {os.getpid()}\\n}}\\n"
    path.write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    path.chmod(0o755)
    return path


def measured(port: int) -> dict:
    """The snapshot once its service was asked for."""
    deadline = time.monotonic() + 10
    while (snapshot := get(port, "/v1/snapshot"))["services"][0]["pid"] is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return snapshot


@pytest.mark.parametrize(
    ("psutil", "says"),
    [
        (None, None),
        ("raise ImportError('no wheel for this system')", "no wheel for this system"),
        ("raise RuntimeError('odd kernel')", "odd kernel"),
        ("class Error(Exception): pass", "has no attribute"),
    ],
    ids=["well", "absent", "raising", "hollow"],
)
def test_recordings_show_real_processes_and_a_broken_psutil_costs_its_own_readings_only(
    tmp_path, launchctl, psutil, says
):
    environment = dict(os.environ)
    if psutil is not None:
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "psutil.py").write_text(psutil)
        environment["PYTHONPATH"] = str(broken)
    (tmp_path / "thermal.txt").write_text("com.apple.system.thermalpressurelevel 1\n")
    port = free_port()
    services = [{"name": "edge", "label": "x"}]
    path = write(tmp_path, port, services=services, launchctl=str(launchctl), slow_seconds=0.1, fast_seconds=0.05)
    argv = [sys.executable, "-s", "-m", "fleet.node.agent", "--config", str(path)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        while "watches mini-1" not in process.stderr.readline():
            assert process.poll() is None
        snapshot = measured(port)
        service = snapshot["services"][0]
        failing = {item["name"]: item["problem"] for item in snapshot["collectors"] if not item["ok"]}
        assert (service["up"], snapshot["thermal"]["pressure_level"]) == (True, 1)
        if says is None or sys.platform == "linux":
            assert failing == {}
            assert service["resident_bytes"] > 1_000_000
            assert 0 < time.time() - service["started_at_seconds"] < 24 * 3600
        else:
            assert set(failing) == {"processes"}
            assert all(says in problem for problem in failing.values())
            assert (service["resident_bytes"], service["started_at_seconds"]) == (None, None)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"readings": "tea leaves"}, "tea leaves"),
        ({"readings": "macos"}, "macos needs macOS"),
        ({"fast_seconds": 0}, "above 0"),
        ({"colour": "red"}, "colour"),
        ({"token_file": "/nonexistent"}, "token"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="macos readings work there")
def test_a_configuration_that_does_not_fit_is_one_message(tmp_path, capsys, changes, says):
    assert main(["--config", str(write(tmp_path, 1, **changes))]) == 2
    text = capsys.readouterr().err
    assert says in text
    assert "Traceback" not in text


def test_a_token_that_others_can_read_is_refused(tmp_path, capsys):
    path = write(tmp_path, 1)
    (tmp_path / "token").chmod(0o644)
    assert main(["--config", str(path)]) == 2
    assert "chmod 600" in capsys.readouterr().err


def test_it_imports_nothing_heavy():
    code = (
        "import sys, psutil, fleet.node.agent.__main__;"
        "print([m for m in ('asyncio','aiohttp','rich','click','yaml','ssl','http') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.strip() == "[]"


HEAVY = ("aiohttp", "asyncio", "hashlib", "http", "psutil", "ssl", "email", "urllib.request", "fleet.control", "yaml")
"""What a start of the agent must not load: each costs 1-25 MB of a memory that is there for models."""


def test_the_agent_starts_without_what_would_double_its_size():
    code = "import sys, fleet.node.agent.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
                            capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    assert [name for name in HEAVY if name in loaded] == []


WATCHED = """
import os, sys, time
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[:1]))) if event in {events} else None)
from fleet.node.agent.agent import Agent, listen
from fleet.node.agent.setup import load_config, reader_of
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.secret import Secret
from pathlib import Path
config = load_config(Path({config!r}))
listener = listen(0, patience_seconds=1)
agent = Agent(config, reader_of("linux"), SystemClock(), listener=listener, token=Secret("t"), log=print)
def turn_until(done):
    while not done():
        agent.turn(0.05)
turn_until(lambda: agent.snapshot().services[0].up and agent.snapshot().services[0].resident_bytes)
assert any(event == "subprocess.Popen" for event, _ in seen), "the hook works: launchctl was run"
del seen[:]
began = agent.snapshot().at_seconds
turn_until(lambda: agent.snapshot().at_seconds > began + 0.5)
agent.close()
print(seen)
"""
FORKS_AND_LISTS = {
    "subprocess.Popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "os.listdir",
    "os.scandir",
}


@pytest.mark.skipif(sys.platform != "linux", reason="readings: linux")
def test_the_fast_tier_forks_nothing_and_lists_no_folder_of_processes(tmp_path, launchctl):
    """Some fifty ticks of a running service, watched by the interpreter's own audit hook."""
    path = write(
        tmp_path,
        1,
        readings="linux",
        fast_seconds=0.01,
        slow_seconds=3600,
        launchctl=str(launchctl),
        services=[{"name": "edge", "label": "x"}],
    )
    code = WATCHED.format(events=FORKS_AND_LISTS, config=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stderr, done.stdout.splitlines()[-1:]) == ("", ["[]"])
