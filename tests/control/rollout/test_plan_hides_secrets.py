"""What a plan shows of secrets: which field changes, and nothing else."""

from __future__ import annotations

import plistlib

from fleet.control.desired.states import Compiled
from fleet.control.rollout.plan import node_plan
from fleet.node.sync.observed import FoundCommand, ObservedNode
from fleet.node.sync.steps import steps
from fleet.vocabulary.contracts.desired import Blob, Command, Daemon, DesiredState, File
from fleet.vocabulary.contracts.sync import Observed, Step
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName

LAYOUT = NodeLayout(owner="admin")
NODE = NodeName("mini-1")


def plist(**environment: str) -> bytes:
    return plistlib.dumps({"Label": "x", "EnvironmentVariables": environment})


def shown(old: bytes, new: bytes) -> tuple[str, ...]:
    daemon = Daemon(
        task="t",
        label="x",
        service="x",
        plist=Blob(digest="sha256:a", size=1),
        user="u",
        group="g",
        program="/p",
        exit_timeout_seconds=5,
    )
    state = DesiredState(node=NODE, layout=LAYOUT, interpreter="/p", items=(daemon,))
    step = Step(key=daemon.key, kind_of="daemon", action="rebootstrap", task="t", reason="its plist changes")
    observed = Observed(steps=(step,), texts={LAYOUT.plist("x"): old.decode()})
    (change,) = node_plan(NODE, Compiled(state=state, contents={"sha256:a": new}), observed).changes
    return change.diff


def test_a_key_that_is_named_like_a_secret_is_named_without_its_value() -> None:
    diff = shown(plist(LANG="de", HF_TOKEN="planted-1"), plist(LANG="en", HF_TOKEN="planted-2"))
    assert sorted(diff) == [
        "EnvironmentVariables.HF_TOKEN: (secret) changed",
        'EnvironmentVariables.LANG: "de" -> "en"',
    ]


def test_a_secret_in_a_table_that_comes_whole_is_not_shown() -> None:
    bare = plistlib.dumps({"Label": "x"})
    assert shown(bare, plist(API_KEY="planted")) == ("EnvironmentVariables.API_KEY: (secret) added",)
    assert shown(plist(API_KEY="planted"), bare) == ("EnvironmentVariables.API_KEY: (secret) removed",)


def test_a_secret_file_says_that_its_content_changes() -> None:
    file = File(
        task="t",
        path="/opt/fleet/etc/key",
        blob=Blob(digest="hmac-sha256:a", size=1),
        mode=0o600,
        owner="o",
        group="g",
    )
    state = DesiredState(node=NODE, layout=LAYOUT, interpreter="/p", items=(file,))
    for reason, diff in (("its content changes", ("content: (secret) changed",)), ("mode 0644 -> 0600", ())):
        step = Step(key=file.key, kind_of="file", action="update", task="t", reason=reason)
        (change,) = node_plan(NODE, Compiled(state=state), Observed(steps=(step,))).changes
        assert change.diff == diff


def test_the_words_of_a_sensitive_command_never_leave_the_node() -> None:
    command = Command(
        task="t", name="login", argv=("login", "--password", "planted"), user="root", creates="/x", sensitive=True
    )
    state = DesiredState(node=NODE, layout=LAYOUT, interpreter="/p", items=(command,))
    observed = ObservedNode(commands={command.key: FoundCommand(created=False)})
    (step,) = steps(state, observed, None)
    assert "planted" not in repr(step)
    assert step.may
    (change,) = node_plan(NODE, Compiled(state=state), Observed(steps=(step,))).changes
    assert change.diff == ("command: (secret)",)
