"""`bootstrap`, `bootout`, `enable`, `disable` of the simulated launchd, with real processes (FACTS 1.2, 1.5)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.vocabulary.launchctl import parse_print_disabled
from tests.sim.conftest import FAST, LABEL, TARGET, Lab, alive, eventually


async def test_bootstrap_of_a_job_that_runs_at_load_gives_a_pid(lab: Lab) -> None:
    await lab.load(RunAtLoad=True)
    found = await lab.printed()
    assert (found.state, found.runs, found.immediate_reason) == ("running", 1, "speculative")
    assert alive(await lab.pid())


async def test_bootstrap_twice_is_error_5(lab: Lab) -> None:
    await lab.load()
    code, _, err = await lab.run("bootstrap", "system", lab.plist())
    assert (code, err) == (5, "Bootstrap failed: 5: Input/output error\n")


async def test_bootstrap_without_root_is_refused_with_the_line_of_advice(lab: Lab) -> None:
    code, _, err = await lab.run("bootstrap", "system", lab.plist(), root=False)
    assert code == 5
    assert err.endswith("Try re-running the command as root for richer errors.\n")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
async def test_a_plist_that_others_may_write_is_refused(lab: Lab, mode: int) -> None:
    path = lab.plist()
    path.chmod(mode)
    assert await lab.code("bootstrap", "system", path) == 5
    assert "122: Path had bad ownership/permissions" in lab.log.path.read_text()


async def test_a_plist_of_another_owner_is_refused(lab: Lab) -> None:
    path = lab.plist() if os.getuid() == 0 else Path("/etc/hosts")  # only root can give a file away
    if os.getuid() == 0:
        os.chown(path, 12345, -1)
    assert await lab.code("bootstrap", "system", path) == 5


@pytest.mark.parametrize(("content", "code"), [(b"not a plist", 109), (b"<plist><dict/></plist>", 110), (b"", 109)])
async def test_a_plist_that_is_none_is_refused(lab: Lab, content: bytes, code: int) -> None:
    path = lab.plist()
    path.write_bytes(content)
    assert await lab.code("bootstrap", "system", path) == code


async def test_a_disabled_label_is_refused_with_5_or_119_and_enable_cures_it(lab: Lab) -> None:
    assert await lab.code("disable", TARGET) == 0
    assert await lab.code("bootstrap", "system", lab.plist()) == 5
    await lab.launchd.change(replace(FAST, disabled_code=119))
    assert await lab.code("bootstrap", "system", lab.plist()) == 119
    assert "119: Service is disabled" in lab.log.path.read_text()
    assert await lab.code("enable", TARGET) == 0
    await lab.load()


async def test_overrides_of_labels_that_nobody_knows_succeed_and_stay(lab: Lab) -> None:
    assert await lab.code("disable", "system/org.example.nobody") == 0
    assert await lab.code("enable", "system/org.example.other") == 0
    _, out, _ = await lab.run("print-disabled", "system")
    assert out.startswith("\n\tdisabled services = {\n\t\t")
    assert parse_print_disabled(out) == {"org.example.nobody": True, "org.example.other": False}


@pytest.mark.parametrize(
    "keys",
    [
        {"ProgramArguments": ["/nowhere/program"]},
        {"ProgramArguments": ["/etc/passwd"]},
        {"UserName": "nobody-of-this-name"},
        {"WorkingDirectory": "/nowhere"},
        {"StandardOutPath": "/dev/null/log"},
    ],
    ids=lambda keys: next(iter(keys)),
)
async def test_what_cannot_be_spawned_is_registered_and_ends_with_78(lab: Lab, keys: dict[str, object]) -> None:
    await lab.load(RunAtLoad=True, **keys)
    found = await lab.printed()
    assert (found.pid, found.last_exit, found.job_state) == (None, "78: EX_CONFIG", "spawn failed")
    assert "\texecs = 0\n" in (await lab.run("print", TARGET))[1]
    assert found.state == "not running"


async def test_a_missing_log_folder_is_made_for_root_only_so_a_job_with_a_user_ends_with_78(lab: Lab) -> None:
    import getpass

    log = lab.folder / "logs" / "out.log"
    await lab.load(RunAtLoad=True, UserName=getpass.getuser(), StandardOutPath=str(log))
    assert (await lab.printed()).last_exit == "78: EX_CONFIG"
    assert await lab.code("kickstart", TARGET) == 0
    assert (await lab.printed()).pid is None
    log.parent.chmod(0o755)
    await lab.code("kickstart", TARGET)
    await lab.until(lambda job: job.pid is not None)


async def test_bootout_answers_at_once_while_the_process_lives_on_to_its_exit_timeout(lab: Lab) -> None:
    await lab.load("trap '' TERM; while :; do sleep 0.05; done", RunAtLoad=True)
    pid = await lab.pid()
    await asyncio.sleep(0.2)
    assert await lab.run("bootout", TARGET) == (0, "", "")
    found = await lab.printed()
    assert (found.state, found.pid) == ("SIGTERMed", pid)
    assert alive(pid)
    assert await lab.code("bootstrap", "system", lab.plist()) == 37
    await eventually(lambda: not alive(pid))
    await eventually(lambda: _gone(lab))


async def test_bootstrap_while_the_old_instance_dies_may_also_answer_5(lab: Lab) -> None:
    await lab.load("trap '' TERM; while :; do sleep 0.05; done", RunAtLoad=True)
    await asyncio.sleep(0.2)
    await lab.launchd.change(replace(FAST, busy_code=5, bootout_code=36))
    code, _, err = await lab.run("bootout", TARGET)
    assert (code, err) == (36, "Boot-out failed: 36: Operation now in progress\n")
    assert await lab.code("bootstrap", "system", lab.plist()) == 5
    await eventually(lambda: _gone(lab))


async def test_bootout_of_nothing_is_3_and_by_path_5(lab: Lab) -> None:
    assert await lab.run("bootout", TARGET) == (3, "", "Boot-out failed: 3: No such process\n")
    assert await lab.code("bootout", "system", lab.plist()) == 5
    await lab.load()
    assert await lab.code("bootout", "system", lab.plist()) == 0
    assert await _gone(lab)


async def test_gui_needs_a_desktop_and_user_a_plist_for_the_background(lab: Lab) -> None:
    code, _, err = await lab.run("bootstrap", "gui/501", lab.plist())
    assert (code, err) == (125, "Bootstrap failed: 125: Domain does not support specified action\n")
    assert (await lab.run("print", "gui/501"))[0] == 112
    assert await lab.code("bootstrap", "user/501", lab.plist()) == 134
    assert await lab.code("bootstrap", "user/501", lab.plist(LimitLoadToSessionType="Background")) == 0
    lab.launchd.desktop_uid = 501
    assert await lab.code("bootstrap", "gui/501", lab.plist(RunAtLoad=True), root=False) == 0
    assert (await lab.printed(f"gui/501/{LABEL}")).state == "running"


@pytest.mark.parametrize("words", [("print", LABEL), ("kickstart", LABEL), ("bootout", "--wait", TARGET), ("frob",)])
async def test_a_target_without_its_domain_is_64(lab: Lab, words: tuple[str, ...]) -> None:
    assert await lab.code(*words) == 64


@pytest.mark.parametrize("words", [("print", TARGET), ("kickstart", TARGET), ("kill", "SIGTERM", TARGET)])
async def test_an_unknown_label_is_113(lab: Lab, words: tuple[str, ...]) -> None:
    code, _, err = await lab.run(*words)
    assert (code, err) == (113, f'Bad request.\nCould not find service "{LABEL}" in domain for system\n')


async def test_the_plist_is_read_once_at_bootstrap(lab: Lab) -> None:
    await lab.load("exec sleep 600 # old", RunAtLoad=True)
    lab.plist("exec sleep 600 # new", RunAtLoad=True)
    await lab.code("kickstart", "-k", TARGET)
    found = await lab.until(lambda job: job.runs == 2 and job.pid is not None)
    assert found.arguments == ("/bin/sh", "-c", "exec sleep 600 # old")


async def _gone(lab: Lab) -> bool:
    return await lab.code("print", TARGET) == 113
