"""Deploys over OpenSSH's own sshd to simulated Macs: what holds when the line, the node or the laptop fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.sshd import SlowStep, SshdRoom, jump_room, needs_sshd, sshd_room, until

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(180)]

NOTE = {"name": "note", "file": {"dest": "site/note.txt", "content": "one\n"}}
TICKER = {
    "name": "ticker",
    "daemon": {
        "label": "ticker",
        "program": ["{{ interpreter }}", "-c", "import time; print('tick', flush=True); time.sleep(600)"],
    },
}
SOON = {"launchd": {"daemon": "ticker", "stable_for": "1s"}}
BIG_BYTES = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def macs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdRoom]:
    """Two adopted Macs; every test deploys a playbook of its own first."""
    with sshd_room(tmp_path_factory.mktemp("sshd")) as room:
        yield room


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[SshdRoom]:
    """One Mac of one's own, adopted."""
    with sshd_room(tmp_path, nodes=1) as room:
        yield room


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowStep]:
    step = SlowStep(tmp_path)
    yield step
    step.let_go()


# --- twice ------------------------------------------------------------------------------------------------------------


def test_a_second_deploy_is_one_session_a_node_and_starts_no_python_there(macs: SshdRoom) -> None:
    macs.playbook(NOTE, TICKER, health=(SOON,))
    macs.deploy()
    before = {name: macs.python_starts(name) for name in macs.doors}
    assert any(words.endswith("apply") for words in before["mac-1"])  # the wrapper does note
    with macs.log_of("mac-1") as one, macs.log_of("mac-2") as other:
        events = [json.loads(line) for line in macs.deploy("--json").stdout.splitlines()]
    assert {event["phase"] for event in events} <= {"connect", "done"}
    assert {event["outcome"] for event in events if event["phase"] == "done"} == {"unchanged"}
    assert {name: macs.python_starts(name) for name in macs.doors} == before
    assert [(log.connections, log.sessions) for log in (*one, *other)] == [(1, 1), (1, 1)]


def test_drift_on_a_node_is_seen_by_the_next_deploy_and_mended(macs: SshdRoom) -> None:
    macs.playbook(NOTE)
    macs.deploy()
    note = macs.root("mac-2") / "site" / "note.txt"
    note.write_text("by hand\n")
    events = [json.loads(line) for line in macs.deploy("--json").stdout.splitlines()]
    assert {event["node"]: event["outcome"] for event in events if event["phase"] == "done"} == {
        "mac-1": "unchanged",
        "mac-2": "changed",
    }
    assert note.read_text() == "one\n"


@pytest.mark.model
@pytest.mark.timeout(300)
def test_a_model_deployed_over_sshd_answers_and_the_second_deploy_is_idle(tmp_path: Path) -> None:
    with sshd_room(tmp_path, models=("scripted",)) as room:
        room.fleet("deploy", "--yes")
        assert room.fleet("ask", "hello?").stdout == "Hello from the scripted model.\n"
        before = {name: room.python_starts(name) for name in room.doors}
        with room.log_of("mac-2") as logs:
            assert "nothing to do" in room.fleet("deploy", "--yes").stderr
        assert {name: room.python_starts(name) for name in room.doors} == before
        assert [(log.connections, log.sessions) for log in logs] == [(1, 1)]


# --- who it is --------------------------------------------------------------------------------------------------------


def test_another_host_key_stops_the_deploy_before_anything_is_offered_to_it(fresh: SshdRoom) -> None:
    fresh.playbook(NOTE)
    fresh.deploy()
    pinned = fresh.fingerprint("mac-1")
    fresh.change_host_key("mac-1")
    shown = fresh.fingerprint("mac-1")
    with fresh.log_of("mac-1") as logs:
        answer = fresh.deploy(expect=4)
        fresh.fleet("exec", "--", "true", expect=4)
        fresh.fleet("plan", "test", expect=4)
    assert "its SSH key is not the pinned one" in answer.stdout
    assert pinned in answer.stdout
    assert shown in answer.stdout
    assert logs[0].connections >= 3
    assert (logs[0].authentications, logs[0].sessions) == (0, 0)
    fresh.fleet("adopt", "--rekey", "mac-1", "--accept", shown)
    with fresh.log_of("mac-1") as logs:
        assert "nothing to do" in fresh.deploy().stderr
    assert logs[0].authentications == 1  # what was counted above is there when there is something to count


# --- through a jump host ----------------------------------------------------------------------------------------------


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[SshdRoom]:
    """Two Macs that ssh_config reaches through a bastion, another sshd, by names that nothing else resolves."""
    with jump_room(tmp_path) as room:
        yield room


def test_two_nodes_behind_a_jump_host_are_deployed_through_one_connection_to_it(behind: SshdRoom) -> None:
    behind.playbook(NOTE)
    behind.deploy()
    with behind.log_of("bastion") as bastion, behind.log_of("mac-1") as one, behind.log_of("mac-2") as other:
        assert "nothing to do" in behind.deploy().stderr
    assert [(log.connections, log.authentications, log.sessions) for log in bastion] == [(1, 1, 0)]
    assert [(log.connections, log.sessions) for log in (*one, *other)] == [(1, 1), (1, 1)]


def test_a_jump_host_with_another_key_is_told_nothing(behind: SshdRoom) -> None:
    behind.playbook(NOTE)
    behind.deploy()
    pinned = behind.fingerprint("bastion")
    behind.change_host_key("bastion")
    with behind.log_of("bastion") as bastion:
        answer = behind.deploy(expect=4)
    assert "the jump host's SSH key is not the pinned one" in answer.stdout
    assert pinned in answer.stdout
    assert behind.fingerprint("bastion") in answer.stdout
    assert bastion[0].authentications == 0


# --- nodes as they are found ------------------------------------------------------------------------------------------


def test_a_refused_sudo_is_said_and_nothing_is_changed(fresh: SshdRoom) -> None:
    fresh.playbook(NOTE)
    fresh.deploy()
    before = fresh.live("mac-1")
    fresh.playbook({**NOTE, "file": {**NOTE["file"], "content": "two\n"}})
    fresh.sim("fault", "mac-1", "sudo=refused")
    answer = fresh.deploy(expect=1)
    assert "sudo refused fleet's helper" in answer.stdout
    assert "fleet adopt puts the sudoers entry in place" in answer.stdout
    assert fresh.live("mac-1") == before
    fresh.sim("fault", "mac-1", "sudo", "--clear")
    fresh.deploy()


@pytest.mark.parametrize("ending", ["\n", pytest.param("", marks=pytest.mark.long)])
def test_a_login_shell_that_prints_disturbs_nothing(tmp_path: Path, ending: str) -> None:
    with sshd_room(tmp_path, nodes=1, adopted=False) as room:
        room.sim("fault", "mac-1", "noise")
        noise = room.node("mac-1") / "sim" / "state" / "noise"
        noise.write_text(f'Welcome!\n{{"kind": "hello"}}\nFLEET-SYNC/2\n\x1b[1mzsh: compinit{ending}')
        room.fleet("adopt", "--all", "--yes")
        room.playbook(NOTE)
        room.deploy()
        assert (room.root("mac-1") / "site" / "note.txt").read_text() == "one\n"
        with room.log_of("mac-1") as logs:
            assert "nothing to do" in room.deploy().stderr
        assert logs[0].sessions == 1


@pytest.mark.long
def test_apples_python_stub_is_never_run_where_an_interpreter_is_given(tmp_path: Path) -> None:
    with sshd_room(tmp_path, nodes=1, adopted=False) as room:
        calls = tmp_path / "calls"
        for stub in ("python3", "pip3", "git", "make", "clang", "cc", "gcc"):
            script = room.node("mac-1") / "sim" / "bin" / stub
            script.write_text(script.read_text().replace("#!/bin/sh\n", f'#!/bin/sh\necho "$0 $*" >>{calls}\n', 1))
        answer = room.fleet("adopt", "--all", "--yes")
        assert "stub" in answer.stdout
        room.playbook(NOTE, TICKER, health=(SOON,))
        room.deploy()
        assert room.services("mac-1")["org.fleet-macs.ticker"]["state"] == "running"
        assert not calls.exists()
        room.fleet("exec", "--", "python3", "-V", expect=1)
        assert calls.read_text().endswith("python3 -V\n")  # it would have been noted


# --- the line is cut --------------------------------------------------------------------------------------------------


def big_file(room: SshdRoom, size_bytes: int = BIG_BYTES, *tasks: Mapping[str, Any]) -> Path:
    """A playbook with a file that takes a while, new each time."""
    path = room.folder / "templates" / "big.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(size_bytes))
    room.playbook({"name": "big", "file": {"dest": "site/big.bin", "src": "big.bin"}}, *tasks)
    return path


def test_an_upload_that_was_cut_goes_on_where_it_stopped(macs: SshdRoom) -> None:
    macs.playbook(NOTE)
    macs.deploy()
    before = macs.live("mac-1")
    big = big_file(macs)
    with macs.wire("mac-1") as wire:
        wire.cut_at = BIG_BYTES // 2
        answer = macs.deploy("--on", "mac-1", expect=4)
        assert "the connection was lost" in answer.stdout
        assert "goes on where this one stopped" in answer.stdout
        assert macs.live("mac-1") == before
        here = sum(part.stat().st_size for part in (macs.root("mac-1") / "blobs").glob("*.part"))
        assert BIG_BYTES // 4 < here < BIG_BYTES
        wire.reset()
        macs.deploy("--on", "mac-1")
        assert BIG_BYTES - here < wire.sent_bytes < BIG_BYTES - here + 256 * 1024
    assert (macs.root("mac-1") / "site" / "big.bin").read_bytes() == big.read_bytes()


@pytest.mark.parametrize(("status", "code", "outcome"), [(0, 0, "changed"), (3, 1, "reverted")])
def test_a_line_cut_after_the_commit_is_taken_up_again_and_the_true_outcome_told(
    macs: SshdRoom, slow: SlowStep, status: int, code: int, outcome: str
) -> None:
    step = SlowStep(slow.folder, status=status)
    macs.playbook(NOTE, step.task)
    with macs.wire("mac-1") as wire, macs.deploying("--on", "mac-1", "--json") as deploy:
        step.wait_begun()
        wire.cut()
        until(lambda: wire.connections == 2)
        step.let_go()
        out, _ = deploy.communicate(timeout=60)
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert deploy.returncode == code, out
    assert [event["outcome"] for event in events if event["phase"] == "done"] == [outcome]
    assert any("the node goes on alone" in event.get("text", "") for event in events)
    told = [event["text"] for event in events if event["phase"] == "apply" and event["status"] == "start"]
    assert len(told) == len(set(told))  # nothing is told twice
    assert macs.last_run("mac-1")[-1]["outcome"] == {"changed": "committed"}.get(outcome, outcome)


def test_a_line_cut_before_the_answer_to_the_commit_is_taken_up_again_too(macs: SshdRoom, slow: SlowStep) -> None:
    big_file(macs, 200 * 1024, slow.task)  # fits the window (256 KiB so near): nothing needs an answer up to the commit
    with macs.wire("mac-1") as wire, macs.deploying("--on", "mac-1", "--json") as deploy:
        wire.mute_at = 100 * 1024
        slow.wait_begun()
        wire.cut()
        wire.mute_at = None
        until(lambda: wire.connections == 2 or deploy.poll() is not None)
        slow.let_go()
        out, _ = deploy.communicate(timeout=60)
    assert deploy.returncode == 0, out
    assert json.loads(out.splitlines()[-1])["outcome"] == "changed"


# --- the laptop goes away ---------------------------------------------------------------------------------------------


def test_a_node_that_took_the_run_finishes_it_alone_when_the_laptop_is_killed(macs: SshdRoom, slow: SlowStep) -> None:
    macs.playbook(NOTE)
    macs.deploy()
    before = macs.current("mac-1")
    macs.playbook({**NOTE, "file": {**NOTE["file"], "content": "alone\n"}}, slow.task, TICKER, health=(SOON,))
    with macs.deploying("--on", "mac-1") as deploy:
        slow.wait_begun()
        deploy.kill()
        deploy.wait()
    busy = macs.deploy("--on", "mac-1", expect=1)
    assert "is still going on there" in busy.stdout
    slow.let_go()
    macs.wait_idle("mac-1")
    assert macs.last_run("mac-1")[-1]["outcome"] == "committed"
    assert macs.current("mac-1") not in (None, before)
    assert (macs.root("mac-1") / "site" / "note.txt").read_text() == "alone\n"
    assert macs.services("mac-1")["org.fleet-macs.ticker"]["state"] == "running"
    assert "nothing to do" in macs.deploy("--on", "mac-1").stderr


def test_a_laptop_that_is_killed_while_it_sends_leaves_all_that_serves_as_it_was(macs: SshdRoom) -> None:
    macs.playbook(NOTE, TICKER, health=(SOON,))
    macs.deploy()
    before, current = macs.live("mac-1"), macs.current("mac-1")
    big = big_file(macs)
    with macs.wire("mac-1") as wire:
        wire.hold_at = BIG_BYTES // 2
        with macs.deploying("--on", "mac-1") as deploy:
            until(lambda: wire.held)
            deploy.kill()
            deploy.wait()
    assert (macs.live("mac-1"), macs.current("mac-1")) == (before, current)
    assert not (macs.root("mac-1") / "state" / "pending").exists()
    macs.deploy("--on", "mac-1")
    assert (macs.root("mac-1") / "site" / "big.bin").read_bytes() == big.read_bytes()


def test_a_laptop_that_is_killed_at_the_commit_leaves_a_node_that_is_old_or_new(macs: SshdRoom) -> None:
    macs.playbook(NOTE)
    macs.deploy()
    old = macs.current("mac-1")
    for number in range(4):
        macs.playbook({**NOTE, "file": {**NOTE["file"], "content": f"{number}\n"}})
        with macs.deploying("--on", "mac-1", "--json") as deploy:
            assert deploy.stdout
            for line in deploy.stdout:
                event = json.loads(line)
                if event["phase"] == ("stage" if number % 2 else "send") and event["status"] == (
                    "start" if number % 2 else "ok"
                ):
                    break
            deploy.kill()
            deploy.wait()
        macs.wait_idle("mac-1")
        text = (macs.root("mac-1") / "site" / "note.txt").read_text()
        new = macs.current("mac-1") != old
        assert text == f"{number}\n" if new else text != f"{number}\n"
        macs.deploy("--on", "mac-1")
        assert (macs.root("mac-1") / "site" / "note.txt").read_text() == f"{number}\n"
        old = macs.current("mac-1")


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_exec_and_logs_speak_with_every_node(macs: SshdRoom) -> None:
    macs.playbook(NOTE, TICKER, health=(SOON,))
    macs.deploy()
    answer = macs.fleet("exec", "--", "cat", str(macs.root("mac-1") / "site" / "note.txt"))
    assert answer.stdout == "one\n"
    assert "mac-1, mac-2" in answer.stderr
    assert macs.fleet("exec", "--on", "mac-2", "--shell", "echo out; echo err >&2; exit 7", expect=1).stdout == "out\n"
    lines = macs.fleet("logs", "all", "ticker", "-n", "1").stdout.splitlines()
    assert sorted(lines) == ["mac-1 │ tick", "mac-2 │ tick"]


def test_ssh_is_the_users_own_client_held_to_the_pinned_key(macs: SshdRoom) -> None:
    assert macs.fleet("ssh", "mac-1", "--", "true").returncode == 0
    assert macs.fleet("ssh", "mac-1", "--", "sw_vers -productName; exit 3", expect=3).stdout == "macOS\n"
    right = macs.variables("mac-1")["host_key"]
    macs.set_host("mac-1", host_key=macs.variables("mac-2")["host_key"])
    try:
        with macs.log_of("mac-1") as logs:
            answer = macs.fleet("ssh", "mac-1", "--", "true", expect=255)
            macs.fleet("exec", "--on", "mac-1", "--", "true", expect=4)
    finally:
        macs.set_host("mac-1", host_key=right)
    assert "Host key verification failed" in answer.stderr
    assert logs[0].authentications == 0


def test_a_project_in_a_folder_with_a_blank_is_deployed_and_reached_by_ssh_too(tmp_path: Path) -> None:
    with sshd_room(tmp_path / "my fleet", nodes=1) as room:
        room.playbook(NOTE)
        room.deploy()
        assert "nothing to do" in room.deploy().stderr
        assert room.fleet("ssh", "mac-1", "--", "sw_vers", "-productName").stdout == "macOS\n"


def test_uninstall_leaves_no_daemon_no_file_and_no_right(fresh: SshdRoom) -> None:
    fresh.playbook(NOTE, TICKER, health=(SOON,))
    fresh.deploy()
    pid = fresh.services("mac-1")["org.fleet-macs.ticker"]["pid"]
    assert "mac-1: removed" in fresh.fleet("uninstall", "mac-1", "--yes").stdout
    assert not fresh.root("mac-1").exists()
    assert list((fresh.node("mac-1") / "Library" / "LaunchDaemons").iterdir()) == []
    assert list((fresh.node("mac-1") / "etc" / "sudoers.d").iterdir()) == []
    assert list((fresh.node("mac-1") / "tmp").iterdir()) == []
    assert fresh.services("mac-1") == {}
    assert not psutil.pid_exists(int(str(pid)))
    assert "mac-1: nothing of fleet there" in fresh.fleet("uninstall", "mac-1", "--yes").stdout
    assert "fleet adopt mac-1" in fresh.deploy(expect=1).stdout
    fresh.fleet("adopt", "mac-1")
    fresh.deploy()
    assert (fresh.root("mac-1") / "site" / "note.txt").read_text() == "one\n"


def test_uninstall_keeps_data_where_it_is_asked_to(fresh: SshdRoom) -> None:
    fresh.playbook(NOTE)
    fresh.deploy()
    fresh.fleet("uninstall", "mac-1", "--yes", "--keep-data")
    assert sorted(path.name for path in fresh.root("mac-1").iterdir()) == ["models", "var"]
    assert fresh.services("mac-1") == {}
