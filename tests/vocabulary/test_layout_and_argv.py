"""Where things are, and how commands are written."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.argv import Argv, posix, quote
from fleet.vocabulary.layout import NodeLayout

WORDS = st.lists(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=4)


@given(words=WORDS)
def test_sh_reads_the_words_that_were_quoted(words: list[str]) -> None:
    script = f"printf '%s\\0' {quote(words)}" if words else "true"
    out = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == words


def test_a_command_is_a_value() -> None:
    command = Argv.of("/bin/launchctl", "print", "system/a b")
    assert command.text == "/bin/launchctl print 'system/a b'"
    assert command.plus(1).words == ("/bin/launchctl", "print", "system/a b", "1")
    assert posix('echo "$1"', "it's") == "/bin/sh -c 'echo \"$1\"' fleet 'it'\"'\"'s'"


def test_a_node_is_laid_out_below_its_root() -> None:
    layout = NodeLayout(root="/opt/fleet", owner="ada")
    assert layout.helper == "/opt/fleet/sbin/fleet-node"
    assert layout.sync("ab") == "/opt/fleet/sync/ab.pyz"
    assert layout.model("org/name", "0123456789abcdef99") == "/opt/fleet/models/org--name@0123456789abcdef"
    assert layout.plist(layout.label("agent")) == "/Library/LaunchDaemons/org.fleet-macs.agent.plist"
    assert layout.target(layout.apply_label) == "system/org.fleet-macs.apply"
    paths = [
        layout.python("d"),
        layout.env("d"),
        layout.app("d"),
        layout.content("d"),
        layout.blob("d"),
        layout.etc("d"),
        layout.release("d"),
        layout.current,
        layout.state("d"),
        layout.run("d"),
        layout.var("d"),
        layout.log("d"),
        layout.current_sync,
    ]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith("/opt/fleet/") for path in paths)


def test_commands_are_absolute_and_may_be_others() -> None:
    layout = NodeLayout(owner="ada", commands={"launchctl": "/sim/launchctl"})
    assert layout.command("launchctl") == "/sim/launchctl"
    assert layout.command("sysctl") == "/usr/sbin/sysctl"
    with pytest.raises(KeyError):
        layout.command("rm")


@pytest.mark.parametrize(
    "path",
    ["/opt/fleet", "/opt/fleet/state/receipt", "/OPT/Fleet/State/receipt", "/library/launchdaemons/x.plist",
     "/private/etc/sudoers.d/x", "/etc/Sudoers.d/x", "/usr/bin/env", "/opt/fleet/sbin"],
)  # fmt: skip
def test_a_reserved_place_is_reserved_however_a_macs_disk_lets_it_be_written(path: str) -> None:
    assert NodeLayout(owner="admin").reserves(path)


@pytest.mark.parametrize(
    "path", ["/opt/fleet/etc/a.json", "/opt/fleet/statement", "/etc/newsyslog.d/x.conf", "/private/x"]
)
def test_other_places_are_the_playbooks(path: str) -> None:
    assert not NodeLayout(owner="admin").reserves(path)
