"""What is remembered of a compile is used only while nothing that it was made from has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.control.link.direct import DirectPlace
from fleet.control.rollout.inputs import inputs_of
from fleet.control.rollout.remembered import Asked, Remembered, RememberedNode, keep, recall

REFERENCES = ("env:TOKEN", "file:secrets/key")
ENVIRON = {"TOKEN": "hunter2-token"}
PLACE = DirectPlace(node="mini-1", address="m1", host="10.0.0.1", port=22, user="admin", host_key="ssh-ed25519 A")
FOUND = Remembered(
    sync="5" * 64, nodes=(RememberedNode(state_id="a" * 64, helper="sudo -n /x/fleet-node", place=PLACE),)
)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """A project with one file of every kind, all of them old."""
    project = tmp_path / "project"
    texts = {
        "inventory/fleet.yml": "all: {}",
        "playbooks/site.yml": "[]",
        "templates/a/b.j2": "x",
        "locks/mlx.lock": "x",
        "models/chat.json": "{}",
        "secrets/key": "a key",
        ".fleet/facts/mini-1.json": "{}",
        "../home/.ssh/config": "",
        "../fleet/__init__.py": "",
        "../templates/shipped.j2": "",
    }
    for name, text in texts.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Asked(
        project=project, inventory=project / "inventory/fleet.yml", package=tmp_path / "fleet", home=tmp_path / "home"
    )


def kept(asked: Asked) -> None:
    before = asked.inputs(())
    settled = type(before)(before.digest, settled=True)  # the files of a test are always of just now
    assert keep(asked, settled, REFERENCES, FOUND, environ=ENVIRON)


def test_what_was_kept_comes_back(asked: Asked) -> None:
    kept(asked)
    assert recall(asked, environ=ENVIRON) == FOUND


CHANGES: dict[str, Callable[[Asked], object]] = {
    "the inventory": lambda a: a.inventory.write_text("all: []"),
    "a file of the same size": lambda a: (a.project / "templates/a/b.j2").write_text("y"),
    "a playbook": lambda a: (a.project / "playbooks/site.yml").write_text("[ ]"),
    "a template that comes and hides a shipped one": lambda a: (a.project / "templates/shipped.j2").write_text(""),
    "a template that goes": lambda a: (a.project / "templates/a/b.j2").unlink(),
    "a shipped template": lambda a: (a.package.parent / "templates/shipped.j2").write_text("new"),
    "a lock": lambda a: (a.project / "locks/mlx.lock").write_text("y"),
    "a key of a client": lambda a: (a.project / "keys.json").write_text("{}"),
    "a manifest": lambda a: (a.project / "models/chat.json").write_text("{ }"),
    "what a node says of itself": lambda a: (a.project / ".fleet/facts/mini-1.json").write_text("{ }"),
    "a node that was seen": lambda a: (a.project / ".fleet/facts/mini-2.json").write_text("{}"),
    "a secret's file": lambda a: (a.project / "secrets/key").write_text("b key"),
    "a secret's file that goes": lambda a: (a.project / "secrets/key").unlink(),
    "ssh_config": lambda a: (a.home / ".ssh/config").write_text("Host *"),
    "fleet itself": lambda a: (a.package / "new.py").write_text(""),
    "a file put in another's place": lambda a: shutil.copy2(a.inventory, a.inventory.with_suffix(".new")).replace(
        a.inventory
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_nothing_is_remembered_when_this_has_changed(asked: Asked, what: str) -> None:
    kept(asked)
    CHANGES[what](asked)
    assert recall(asked, environ=ENVIRON) is None


def test_a_secret_of_the_environment_counts_by_a_keyed_digest_that_is_new_each_time(asked: Asked) -> None:
    kept(asked)
    assert recall(asked, environ={"TOKEN": "another"}) is None
    first = asked.path.read_text()
    assert "hunter2" not in first
    assert "a key" not in first
    kept(asked)
    assert json.loads(first)["marks"] != json.loads(asked.path.read_text())["marks"]
    assert asked.path.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_only_its_store_can_tell_of_keeps_nothing(asked: Asked) -> None:
    before = type(asked.inputs(()))(asked.inputs(()).digest, settled=True)
    assert not keep(asked, before, ("op://vault/item/key",), FOUND, environ={})


def test_what_changed_while_it_was_compiled_is_not_kept(asked: Asked) -> None:
    before = type(asked.inputs(()))(asked.inputs(()).digest, settled=True)
    asked.inventory.write_text("all: {a: 1}")
    assert not keep(asked, before, REFERENCES, FOUND, environ=ENVIRON)


def test_files_of_this_very_moment_may_change_again_within_a_tick_and_are_not_settled(asked: Asked) -> None:
    assert not asked.inputs(()).settled
    old = 1_700_000_000_123_456_789
    one = asked.project / "old"
    one.write_text("")
    os.utime(one, ns=(old, old))
    nowhere = asked.project / "nowhere"
    assert not inputs_of(nowhere, one, package=nowhere, home=nowhere).settled  # its change time is of now


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"null", b"\xff", b'{"schema": 1}', b'{"schema": 2}'])
def test_a_broken_record_is_no_record(asked: Asked, broken: bytes) -> None:
    kept(asked)
    asked.path.write_bytes(broken)
    assert recall(asked, environ=ENVIRON) is None


@pytest.mark.parametrize("field", ["schema", "fleet", "inputs", "references", "salt", "marks", "sync", "nodes"])
@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[]], [{"state_id": 1}]])
def test_no_odd_value_of_a_record_is_used_or_raises(asked: Asked, field: str, value: object) -> None:
    kept(asked)
    data = json.loads(asked.path.read_text())
    asked.path.write_text(json.dumps({**data, field: value}))
    found = recall(asked, environ=ENVIRON)
    assert found is None or field in ("sync", "nodes")  # the node refuses a digest that is none


def test_other_words_have_records_of_their_own(asked: Asked) -> None:
    others = [
        Asked(project=asked.project, inventory=asked.inventory, package=asked.package, home=asked.home, **words)
        for words in ({"on": "mini-1"}, {"playbook": "other.yml"}, {"overrides": ("a=1",)})
    ]
    assert len({one.path for one in (asked, *others)}) == 4
    kept(asked)
    assert [recall(one, environ=ENVIRON) for one in others] == [None, None, None]


def test_a_link_that_leads_back_up_ends(asked: Asked) -> None:
    (asked.project / "templates/loop").symlink_to(asked.project / "templates")
    assert asked.inputs(()).digest == asked.inputs(()).digest
