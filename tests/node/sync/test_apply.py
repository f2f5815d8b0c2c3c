"""A run ends with the new release, or with exactly what was there before."""

from __future__ import annotations

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import GROUP, USER, Node, Release, sha

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.machine import Answer, Ran
from fleet.node.sync.pending import pending_run
from fleet.vocabulary.contracts.desired import (
    Command,
    GenerateGate,
    HttpGate,
    LaunchdGate,
    Pmset,
    PortGate,
    Sysctl,
    WaitFor,
)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def first_release(node: Node, *, text: str = "one", program: str = "/bin/sh", word: str = "v1") -> Release:
    etc = node.layout.etc("agent.json")
    release = node.release().directory(f"{node.layout.root}/etc").directory(node.layout.log("").rstrip("/"))
    release.file(etc, text, mode=0o600).tree("node", {"pkg/mod.py": word.encode()})
    release.daemon("agent", word, program=program, reload={etc: sha(text.encode()).digest}, ports=(8791,))
    return release.daemon("gateway", "gw", ports=(8790,))


def test_a_first_release_is_brought_up_whole_and_a_second_look_finds_nothing_to_do(node: Node) -> None:
    release = first_release(node)
    assert node.deploy(release) == "committed"
    assert releases.current_id(node.machine) == release.state.state_id
    assert set(node.mac.pids()) == {"org.fleet-macs.agent", "org.fleet-macs.gateway"}
    assert all(node.mac.pids().values())
    assert node.plan(release) == ()
    assert pending_run(node.machine) is None
    assert Path(node.layout.log("agent.log")).exists()
    assert Path(node.layout.state("receipt")).read_text().endswith("end - - - -\n")


def test_only_the_daemon_whose_reload_file_changed_hears_of_it_and_no_pid_changes(node: Node) -> None:
    node.deploy(first_release(node))
    before = node.mac.pids()
    release = first_release(node, text="two")
    assert [(step.key.split(":")[0], step.action) for step in node.plan(release)] == [
        ("file", "update"),
        ("daemon", "reload"),
    ]
    assert node.deploy(release) == "committed"
    assert node.mac.pids() == before
    assert node.mac.jobs["org.fleet-macs.agent"].seen[node.layout.etc("agent.json")] == b"two"


def test_a_changed_plist_replaces_exactly_that_daemon(node: Node) -> None:
    node.deploy(first_release(node))
    before = node.mac.pids()
    assert node.deploy(first_release(node, word="v2")) == "committed"
    after = node.mac.pids()
    assert after["org.fleet-macs.gateway"] == before["org.fleet-macs.gateway"]
    assert after["org.fleet-macs.agent"] != before["org.fleet-macs.agent"]


def test_changed_inputs_restart_a_daemon_softly(node: Node) -> None:
    def release(digest: str) -> Release:
        return node.release().daemon("agent", inputs={"model": digest})

    node.deploy(release("sha256:a"))
    old = node.mac.pids()["org.fleet-macs.agent"]
    assert [step.action for step in node.plan(release("sha256:b"))] == ["restart"]
    assert node.deploy(release("sha256:b")) == "committed"
    assert node.mac.pids()["org.fleet-macs.agent"] not in (None, old)
    assert ("/bin/launchctl", "kill", "SIGTERM", "system/org.fleet-macs.agent") in node.mac.typed
    assert not any("-k" in words for words in node.mac.typed)
    assert node.plan(release("sha256:b")) == ()


def test_what_is_no_longer_wanted_goes_away(node: Node) -> None:
    node.deploy(first_release(node))
    release = node.release().directory(f"{node.layout.root}/etc").daemon("gateway", "gw", ports=(8790,))
    assert node.deploy(release) == "committed"
    assert set(node.mac.pids()) == {"org.fleet-macs.gateway"}
    assert not Path(node.layout.etc("agent.json")).exists()
    assert not Path(node.layout.plist("org.fleet-macs.agent")).exists()
    assert node.plan(release) == ()


def test_a_port_that_moves_from_one_daemon_to_another_is_free_in_time(node: Node) -> None:
    def release(one: int, two: int) -> Release:
        made = node.release().daemon("agent", str(one), ports=(one,))
        return made.daemon("gateway", str(two), ports=(two,))

    node.deploy(release(8001, 8002))
    assert node.deploy(release(8002, 8001)) == "committed"
    assert all(node.mac.pids().values())
    assert node.plan(release(8002, 8001)) == ()


def test_a_missing_program_in_a_first_release_is_a_failed_gate_that_names_78_and_leaves_nothing(node: Node) -> None:
    release = first_release(node, program="/nowhere/python3")
    assert node.deploy(release) == "reverted"
    failed = [event for event in node.events() if event.status == "failed" and event.phase == "gate"]
    assert "78: EX_CONFIG" in failed[0].text
    assert "/nowhere/python3 is not on the node" in failed[0].detail
    assert node.mac.pids() == {}
    assert not Path(node.layout.etc("agent.json")).exists()
    assert list(Path(node.layout.daemons_dir).iterdir()) == []
    assert releases.current_id(node.machine) is None
    assert "78" in (releases.why_bad(node.machine, release.state.state_id) or "")


def test_a_program_that_ends_at_once_is_given_up_after_a_few_starts_with_its_exit_code_and_last_words(
    node: Node,
) -> None:
    release = node.release().daemon("agent")
    node.mac.crashing = {"org.fleet-macs.agent"}
    Path(node.layout.log("agent.log")).parent.mkdir(parents=True, exist_ok=True)
    Path(node.layout.log("agent.log")).write_text("no config\n" * 50)
    assert node.deploy(release) == "reverted"
    failed = next(event for event in node.events() if event.status == "failed")
    assert "last exit 1 " in failed.text
    assert "no config  (50 times)" in failed.detail


@pytest.mark.parametrize(
    ("ends_after", "max_restarts", "rule"),
    [
        (0.1, 0, "was started again"),
        (2.6, 0, "was started again once"),
        (0.1, 1000, "did not stay up for 3 s"),
        (2.6, 1000, "did not stay up for 3 s"),
    ],
)
def test_a_program_that_is_seen_alive_before_it_ends_is_told_with_its_exit_code_and_last_words_by_every_rule(
    node: Node, ends_after: float, max_restarts: int, rule: str
) -> None:
    label = "org.fleet-macs.agent"
    release = node.release().daemon("agent")
    release.gates.append(LaunchdGate(label=label, max_restarts=max_restarts))
    node.mac.ends_after[label] = ends_after
    Path(node.layout.log("agent.log")).parent.mkdir(parents=True, exist_ok=True)
    Path(node.layout.log("agent.log")).write_text("no config\n")
    assert node.deploy(release) == "reverted"
    failed = next(event for event in node.events() if event.status == "failed")
    assert failed.text.startswith(f"{label} {rule}")
    assert ": last exit 3, state " in failed.text
    assert "no config" in failed.detail


def test_a_missing_program_in_a_second_release_brings_the_first_back_and_spares_the_others(node: Node) -> None:
    first = first_release(node)
    node.deploy(first)
    before = node.mac.pids()
    assert node.deploy(first_release(node, text="two", program="/nowhere/python3")) == "reverted"
    assert "78: EX_CONFIG" in node.end().text
    assert releases.current_id(node.machine) == first.state.state_id
    assert node.plan(first) == ()
    assert node.mac.pids()["org.fleet-macs.gateway"] == before["org.fleet-macs.gateway"]
    assert node.mac.jobs["org.fleet-macs.agent"].seen[node.layout.etc("agent.json")] == b"one"
    node.watch(first)
    assert node.deploy(first_release(node, text="two")) == "committed"


def test_a_program_that_ends_at_once_is_a_failed_gate(node: Node) -> None:
    first = first_release(node)
    node.deploy(first)
    node.mac.crashing.add("org.fleet-macs.agent")
    Path(node.layout.log("agent.log")).write_text("Traceback: no module named pkg\n")
    assert node.deploy(first_release(node, word="v2")) == "failed"
    texts = "\n".join(f"{event.text}\n{event.detail}" for event in node.events())
    assert "has no process" in texts
    assert "no module named pkg" in texts


@pytest.mark.parametrize(
    ("gate", "word"),
    [
        (HttpGate(label="org.fleet-macs.gateway", url="http://127.0.0.1:8790/healthz"), "connection refused"),
        (PortGate(label="org.fleet-macs.gateway", port=9999), "nothing listens on port 9999"),
        (GenerateGate(label="org.fleet-macs.gateway", url="http://127.0.0.1:8800"), "no completion"),
    ],
)
def test_a_gate_that_does_not_pass_reverts_the_run_and_says_why(node: Node, gate: object, word: str) -> None:
    first = first_release(node)
    node.deploy(first)
    release = first_release(node, text="two")
    release.gates.append(gate)
    assert node.deploy(release) == "reverted"
    assert word in node.end().text
    assert node.plan(first) == ()


def test_gates_that_pass_are_in_the_journal(node: Node) -> None:
    release = first_release(node)
    label = "org.fleet-macs.gateway"
    chat = "http://127.0.0.1:8800/v1/chat/completions"
    release.gates += [
        LaunchdGate(label=label),
        HttpGate(label=label, url="http://127.0.0.1:8790/healthz"),
        PortGate(label=label, port=8790),
        GenerateGate(label=label, url="http://127.0.0.1:8800"),
    ]
    node.mac.answers = {
        "http://127.0.0.1:8790/healthz": Answer(status=200),
        chat: Answer(status=200, body=b'{"choices": [{"message": {"content": "P"}}]}'),
    }
    assert node.deploy(release) == "committed"
    passed = [event.key for event in node.events() if event.phase == "gate"]
    assert passed == [
        f"launchd:{label}", "launchd:org.fleet-macs.agent", "http:http://127.0.0.1:8790/healthz", "port:8790",
        "generate:http://127.0.0.1:8800",
    ]  # fmt: skip


def test_a_put_off_start_is_cured_by_a_plain_kickstart(node: Node) -> None:
    node.mac.pend.add("org.fleet-macs.agent")
    assert node.deploy(first_release(node)) == "committed"
    assert ("/bin/launchctl", "kickstart", "system/org.fleet-macs.agent") in node.mac.typed


def test_a_daemon_that_launchd_left_down_is_drift_and_is_cured(node: Node) -> None:
    release = first_release(node)
    node.deploy(release)
    node.mac.crash("org.fleet-macs.agent")
    (step,) = node.plan(release)
    assert (step.action, "inefficient" in step.reason) == ("cure", True)
    assert node.deploy(release) == "committed"
    assert node.plan(release) == ()


def test_a_daemon_that_somebody_booted_out_is_drift(node: Node) -> None:
    release = first_release(node)
    node.deploy(release)
    del node.mac.jobs["org.fleet-macs.agent"]
    assert [step.action for step in node.plan(release)] == ["bootstrap"]
    assert node.deploy(release) == "committed"
    assert node.plan(release) == ()


def test_bootstrap_is_tried_again_while_launchd_is_busy_and_a_disabled_label_is_enabled(node: Node) -> None:
    node.mac.bootstrap_codes = [5, 37]
    node.mac.disabled["org.fleet-macs.gateway"] = True
    assert node.deploy(first_release(node)) == "committed"


def test_a_foreign_program_on_our_port_is_named_and_nothing_stays(node: Node) -> None:
    node.mac.foreign_ports.add(8790)
    assert node.deploy(first_release(node)) == "reverted"
    assert "port 8790" in node.end().text
    assert "taken by another program" in node.end().text
    assert node.mac.pids() == {}


def test_a_foreign_file_is_put_back_as_it_was(node: Node, tmp_path: Path) -> None:
    foreign = tmp_path / "newsyslog.conf"
    foreign.write_text("theirs")
    foreign.chmod(0o640)
    release = node.release().file(str(foreign), "ours").daemon("agent", program="/nowhere")
    assert node.deploy(release) == "reverted"
    assert (foreign.read_text(), foreign.stat().st_mode & 0o777) == ("theirs", 0o640)


def test_settings_are_read_back_and_restored(node: Node) -> None:
    release = node.release()
    release.add(Pmset(task="t", settings={"sleep": 0, "womp": 1, "autorestart": 1}))
    release.add(Sysctl(task="t", settings={"iogpu.wired_limit_mb": "14000"}))
    assert [step.after for step in node.plan(release)] == ["sleep=0", "iogpu.wired_limit_mb=14000"]
    assert node.deploy(release) == "committed"
    assert (node.mac.pmset["sleep"], node.mac.sysctl["iogpu.wired_limit_mb"]) == ("0", "14000")
    assert node.plan(release) == ()
    worse = node.release().add(Pmset(task="t", settings={"sleep": 5})).daemon("agent", program="/nowhere")
    assert node.deploy(worse) == "reverted"
    assert node.mac.pmset["sleep"] == "0"


def test_a_setting_that_does_not_take_fails_the_run_though_its_command_ended_with_0(node: Node) -> None:
    node.mac.deaf_settings.add("disksleep")
    release = node.release().add(Pmset(task="t", settings={"sleep": 0, "disksleep": 0}))
    assert node.deploy(release) == "reverted"
    assert "disksleep is still 10, not 0" in node.end().text
    assert node.mac.pmset["sleep"] == "1"


def a_command(**fields: object) -> Command:
    made = Command(task="t", name="c", argv=("/opt/c", "go"), user=USER, undo=("/opt/c", "undo"))
    return replace(made, **fields)  # type: ignore[arg-type]


def test_a_command_runs_when_its_reason_holds_and_only_then(node: Node, tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    marker = tmp_path / "made"

    def program(words: tuple[str, ...]) -> Ran:
        ran.append(words)
        marker.touch()
        return Ran(code=0)

    node.mac.programs["/opt/c"] = program
    etc = node.layout.etc("a.conf")
    bare = node.release().add(a_command())
    assert node.deploy(bare) == "committed"
    assert (len(ran), node.plan(bare)) == (1, ())
    marker.unlink()
    creating = node.release().add(a_command(creates=str(marker)))
    assert node.deploy(creating) == "committed"
    assert (len(ran), node.plan(creating)) == (2, ())
    following = node.release().file(etc, "x").add(a_command(on_change_of=(f"file:{etc}",)))
    assert [step.action for step in node.plan(following)] == ["create", "run"]
    assert node.deploy(following) == "committed"
    assert (len(ran), node.plan(following)) == (3, ())
    tree = node.release().tree("node", {"a": b"1"}).add(a_command(on_change_of=("tree:env:node",)))
    assert node.deploy(tree) == "committed"
    assert (len(ran), node.plan(tree)) == (4, ())


def test_a_check_that_fails_lets_the_command_run(node: Node) -> None:
    state = {"ok": False}
    node.mac.programs["/opt/check"] = lambda _: Ran(code=0 if state["ok"] else 1)
    node.mac.programs["/opt/c"] = lambda _: state.update(ok=True) or Ran(code=0)
    release = node.release().add(a_command(check=("/opt/check",)))
    assert [step.reason for step in node.plan(release)] == ["its check fails"]
    assert node.deploy(release) == "committed"
    assert node.plan(release) == ()


def test_a_command_is_undone_when_a_later_step_fails(node: Node) -> None:
    ran: list[str] = []
    node.mac.programs["/opt/c"] = lambda words: ran.append(words[1]) or Ran(code=0)
    release = node.release().add(a_command()).daemon("agent", program="/nowhere")
    assert node.deploy(release) == "reverted"
    assert ran == ["go", "undo"]


def test_a_failed_command_shows_what_it_said(node: Node) -> None:
    node.mac.programs["/opt/c"] = lambda words: Ran(code=0 if words[1] == "undo" else 3, err="no such luck")
    assert node.deploy(node.release().add(a_command())) == "reverted"
    assert "ended with 3: /opt/c go" in node.end().text
    assert "no such luck" in node.end().detail


def test_a_failed_sensitive_command_tells_its_exit_status_and_nothing_else(node: Node) -> None:
    node.mac.programs["/opt/c"] = lambda _: Ran(code=3, err="the token is hunter2")
    release = node.release().add(
        a_command(argv=("/opt/c", "--token=s3cret"), undo=("/opt/c", "s3cret"), sensitive=True)
    )
    assert node.deploy(release) == "failed"
    assert "ended with 3" in node.end().text
    told = Path(node.layout.run("run-1"), "journal.jsonl").read_text()
    told += releases.why_bad(node.machine, release.state.state_id) or ""
    assert ("hunter2" in told, "s3cret" in told) == (False, False)


def test_waiting_happens_only_when_something_else_does(node: Node) -> None:
    release = first_release(node).add(WaitFor(task="t", port=8790))
    assert [step.action for step in node.plan(release)][-1] == "wait"
    assert node.deploy(release) == "committed"
    assert node.plan(release) == ()
    hopeless = first_release(node, text="two").add(WaitFor(task="t", port=1, timeout_seconds=5))
    assert node.deploy(hopeless) == "reverted"
    assert "in vain for 1" in node.end().text


def test_a_changed_mode_is_drift_and_is_put_right(node: Node) -> None:
    release = first_release(node)
    node.deploy(release)
    Path(node.layout.etc("agent.json")).chmod(0o644)
    (first, *_) = node.plan(release)
    assert (first.action, first.reason) == ("update", "mode 0644 -> 0600")
    assert node.deploy(release) == "committed"
    assert node.plan(release) == ()


def test_apply_without_a_pending_run_does_nothing(node: Node) -> None:
    assert apply(node.machine) is None


def test_old_releases_are_collected_and_the_last_three_stay(node: Node) -> None:
    for number in range(5):
        node.deploy(first_release(node, word=f"v{number}"))
    assert len(list(Path(node.layout.root, "releases").glob("[0-9a-f]*.json"))) == 3
    assert len(list(Path(node.layout.root, "envs").iterdir())) == 3
    assert node.plan(first_release(node, word="v4")) == ()


def test_owners_are_those_of_the_layout(node: Node) -> None:
    node.deploy(first_release(node))
    plist = Path(node.layout.plist("org.fleet-macs.agent"))
    assert (plist.owner(), plist.group(), plist.stat().st_mode & 0o777) == (USER, GROUP, 0o644)


def test_a_file_that_changed_while_the_gates_ran_is_not_taken_for_wanted(node: Node) -> None:
    release = first_release(node)
    path = Path(node.layout.etc("agent.json"))
    release.gates.append(HttpGate(label="org.fleet-macs.agent", url="http://127.0.0.1:8791/healthz"))

    class Meddled(dict[str, Answer]):
        """While the gate asks, somebody edits the file."""

        def get(self, key: str, default: object = None, /) -> object:  # type: ignore[override]
            path.write_text("meddled")
            return Answer(status=200)

    node.mac.answers = Meddled()
    assert node.deploy(release) == "committed"
    assert path.read_text() == "meddled"
    assert not Path(node.layout.state("receipt")).exists()


def test_a_bootstrap_that_says_0_and_registers_nothing_is_a_failure(node: Node) -> None:
    launchctl = node.layout.command("launchctl")

    def lying(words: tuple[str, ...]) -> Ran:
        return Ran(code=113) if words[1] == "print" else Ran(code=0)

    node.mac.programs[launchctl] = lying
    release = node.release().daemon("weekly", on_demand=True)
    assert node.deploy(release) == "reverted"
    assert "bootstrap" in node.end().text


@pytest.mark.parametrize("loaded", [True, False])
def test_a_foreign_plist_of_the_same_label_is_put_back_and_loaded_as_it_was(node: Node, *, loaded: bool) -> None:
    label = "org.fleet-macs.agent"
    plist = Path(node.layout.plist(label))
    theirs = plistlib.dumps({"Label": label, "ProgramArguments": ["/bin/sh", "theirs"], "KeepAlive": True})
    plist.write_bytes(theirs)
    plist.chmod(0o600)
    if loaded:
        assert node.mac.run(("/bin/launchctl", "bootstrap", "system", str(plist)), timeout_seconds=1).code == 0
    release = first_release(node).add(WaitFor(task="t", port=1, timeout_seconds=5))
    assert node.deploy(release) == "reverted", node.end()
    assert (plist.read_bytes(), plist.stat().st_mode & 0o777) == (theirs, 0o600)
    assert set(node.mac.jobs) == ({label} if loaded else set())
    if loaded:
        assert node.mac.jobs[label].raw == theirs
        assert node.mac.jobs[label].pid is not None
