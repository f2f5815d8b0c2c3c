"""Every kind of reference, with programs that really run in the place of `op` and `sops`."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.inventory import Project
from fleet.control.inventory.secretrefs import KeyringRef, OnePasswordRef, SopsRef, parse_secret_ref
from fleet.control.supply.secrets import SecretStore
from fleet.control.supply.secrets.onepassword import OnePassword, versions_in
from fleet.control.supply.secrets.tool import Tool
from fleet.errors import SupplyError

VALUE = "hunter2-correct-horse"


@dataclass(frozen=True)
class Desk:
    """A laptop with programs of its own on PATH, which note how they are called."""

    folder: Path

    @property
    def environ(self) -> Mapping[str, str]:
        return {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "DESK": str(self.folder)}

    @property
    def project(self) -> Project:
        return Project(self.folder, self.folder / "inventory/fleet.yml")

    def store(self, *references: str) -> SecretStore:
        return SecretStore(self.project, references, environ=self.environ)

    def program(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"$DESK/{name}.calls"\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def calls(self, name: str) -> list[str]:
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_reference_is_parsed_into_its_parts() -> None:
    assert parse_secret_ref("keyring:fleet/hub/me@example.com") == KeyringRef("fleet/hub", "me@example.com")
    assert parse_secret_ref("op://Private/hub/api/token") == OnePasswordRef(
        "op://Private/hub/api/token", "Private", "hub"
    )
    assert parse_secret_ref("sops:secrets/all.yml#hub.tokens.0") == SopsRef("secrets/all.yml", ("hub", "tokens", "0"))


KINDS = ("", "op:", "op://", "sops:", "keyring:", "file:", "env:")


@given(st.sampled_from(KINDS), st.text(max_size=20))
def test_a_text_is_a_reference_or_is_refused_without_being_shown(kind: str, rest: str) -> None:
    shown = ""
    try:
        parse_secret_ref(f"{kind}{rest}zq7x")
    except SupplyError as error:
        shown = error.text
    assert "zq7x" not in shown


# --- sops -------------------------------------------------------------------------------------------------------------


def test_sops_is_asked_for_one_value_by_argv(desk: Desk) -> None:
    desk.program("sops", f"echo {VALUE}")
    (desk.folder / "all.yml").write_text("hub: ENC[...]\n")
    assert desk.store()["sops:all.yml#hub.tokens.0"].reveal() == VALUE
    assert desk.calls("sops") == [f'decrypt --extract ["hub"]["tokens"][0] {desk.folder / "all.yml"}']


def test_a_tool_that_is_missing_says_how_to_get_it(desk: Desk) -> None:
    (desk.folder / "all.yml").write_text("{}")
    for reference, hint in (("sops:all.yml#a", "brew install sops"), ("op://v/i/f", "brew install 1password-cli")):
        with pytest.raises(SupplyError, match="is not here") as caught:
            SecretStore(desk.project, environ={"PATH": str(desk.folder)})[reference]
        assert hint in caught.value.hint


def test_of_a_tool_that_fails_only_a_short_end_is_told_and_nothing_that_it_printed(desk: Desk) -> None:
    noise = "for n in 1 2 3 4 5 6; do echo line $n >&2; done"
    desk.program("sops", f"echo {VALUE}; {noise}; printf '\\033[31mthe data key of {VALUE} is lost\\n' >&2; exit 128")
    (desk.folder / "all.yml").write_text("{}")
    with pytest.raises(SupplyError, match="ended with 128") as caught:
        desk.store()["sops:all.yml#a"]
    assert VALUE not in caught.value.text
    assert "\033" not in caught.value.text
    assert caught.value.detail.splitlines()[-1].endswith("the data key of *** is lost")
    assert len(caught.value.detail.splitlines()) == 3
    assert "SOPS_AGE_KEY_FILE" in caught.value.hint


def test_a_tool_that_does_not_answer_is_ended_at_its_deadline(desk: Desk) -> None:
    desk.program("waits", "exec sleep 60")
    tool = Tool(name="waits", install="", advice={}, deadline_seconds=0.1)
    with pytest.raises(SupplyError, match="did not answer within"):
        tool.ask([], about="secret x", environ=desk.environ)


def test_what_a_tool_asks_a_person_reaches_the_terminal_and_its_other_words_do_not(desk: Desk) -> None:
    desk.program("asks", f"echo a warning >&2; printf 'password for the vault: ' >&2; echo {VALUE}")
    code = (
        "import os; from fleet.control.supply.secrets.tool import Tool\n"
        "tool = Tool(name='asks', install='', advice={}, deadline_seconds=30)\n"
        "tool.ask([], about='secret x', environ=os.environ)"
    )
    terminal, end = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **desk.environ}, stderr=end, check=True)
        os.write(end, b"[all]")  # a read that finds nothing would wait for ever
        shown = ""
        while "[all]" not in shown:
            shown += os.read(terminal, 4096).decode()
    finally:
        os.close(end)
        os.close(terminal)
    assert "password for the vault:" in shown
    assert "warning" not in shown
    assert VALUE not in shown


# --- 1Password --------------------------------------------------------------------------------------------------------

OP = f"""
case "$1" in
item) echo '[{{"id": "x1", "title": "Hub", "version": 3, "updated_at": "2026-01-02T03:04:05Z"}}]' ;;
read) printf '%s' "{VALUE} of $3" ;;
esac
"""


def test_op_is_asked_once_for_a_reference_and_once_for_the_versions_of_a_vault(desk: Desk) -> None:
    desk.program("op", OP)
    store = desk.store("op://Private/hub/token", "op://Private/x1/other")
    for _ in range(2):
        assert store["op://Private/hub/token"].reveal() == f"{VALUE} of op://Private/hub/token"
        assert {one and one.mark for one in store.versions().values()} == {"x1:3:2026-01-02T03:04:05Z"}
    assert desk.calls("op") == [
        "read --no-newline op://Private/hub/token",
        "item list --vault Private --format json",
    ]


def test_the_first_call_of_op_is_alone_and_the_others_run_together(desk: Desk) -> None:
    begun = 'grep -c begin "$DESK/times"'
    wait = f"i=0; until [ $({begun}) -ge 4 ] || [ $i -gt 200 ]; do i=$((i+1)); sleep 0.02; done"
    note = f'echo begin >>"$DESK/times"; [ $({begun}) -eq 1 ] || {{ {wait}; }}; echo end >>"$DESK/times"; echo v'
    desk.program("op", note)
    names = [f"op://v/{number}/f" for number in range(4)]
    desk.store().learn(names)
    assert (desk.folder / "times").read_text().split() == ["begin", "end", *["begin"] * 3, *["end"] * 3]


def test_a_1password_that_is_locked_is_asked_once_and_all_are_told(desk: Desk) -> None:
    desk.program("op", "echo '[ERROR] You are not currently signed in. Please run op signin' >&2; exit 1")
    with pytest.raises(SupplyError, match="3 secrets cannot be had") as caught:
        desk.store().learn([f"op://v/{number}/f" for number in range(3)])
    assert caught.value.hint == "op signin"
    assert all(f"op://v/{number}/f" in caught.value.detail for number in range(3))
    assert len(desk.calls("op")) == 1


def test_a_name_that_1password_does_not_know_is_not_held_against_the_others(desk: Desk) -> None:
    desk.program(
        "op", """case "$3" in *bad*) echo "\\"bad\\" isn't an item in the vault" >&2; exit 1;; *) echo v;; esac"""
    )
    store = desk.store()
    with pytest.raises(SupplyError) as caught:
        store["op://v/bad/f"]
    assert "op item list" in caught.value.hint
    assert store["op://v/good/f"].reveal() == "v"


def test_many_threads_that_want_one_secret_ask_for_it_once(desk: Desk) -> None:
    desk.program("op", "sleep 0.05; echo v")
    store, found = desk.store(), list[str]()
    threads = [threading.Thread(target=lambda: found.append(store["op://v/i/f"].reveal())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["v"] * 8
    assert len(desk.calls("op")) == 1


@pytest.mark.parametrize("listed", [b"", b"{}", b"[1, {}]", b'[{"version": "x"}]', b"\xff"])
def test_a_list_of_items_that_is_none_gives_no_versions(listed: bytes) -> None:
    assert versions_in(listed) == {}


def test_two_items_of_one_title_have_no_version_by_it() -> None:
    items = [{"id": name, "title": "Hub", "version": 1} for name in ("a", "b")]
    assert set(versions_in(json.dumps(items).encode())) == {"a", "b"}


def test_op_keeps_the_vaults_apart(desk: Desk) -> None:
    desk.program("op", """[ "$4" = one ] && echo '[{"id": "i", "version": 1}]' || echo '[{"id": "i", "version": 2}]'""")
    asked = OnePassword(desk.environ)
    found = [asked.version(OnePasswordRef("", vault, "i")) for vault in ("one", "two")]
    assert [one and one.mark.split(":")[1] for one in found] == ["1", "2"]


# --- the keyring ------------------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The keyring with a backend that lives in this process; the system's own is not even looked for."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):  # type: ignore[misc]
        priority = 1  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            self.held: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            if service == "locked":
                raise OSError(f"cannot be opened, and {VALUE} is not shown")
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield keyring
    keyring.set_keyring(before)


def test_a_keyring_gives_what_was_put_there(desk: Desk, keyring: object) -> None:
    keyring.set_password("fleet", "hub", VALUE)  # type: ignore[attr-defined]
    assert desk.store()["keyring:fleet/hub"].reveal() == VALUE
    assert desk.store("keyring:fleet/hub").versions() == {"keyring:fleet/hub": None}


def test_a_keyring_that_gives_nothing_says_what_to_do(desk: Desk, keyring: object) -> None:
    with pytest.raises(SupplyError, match="does not know it") as caught:
        desk.store()["keyring:fleet/absent"]
    assert caught.value.hint == "keyring set fleet absent puts it there"
    with pytest.raises(SupplyError, match="OSError") as caught:
        desk.store()["keyring:locked/x"]
    assert VALUE not in caught.value.text


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_has_another_version_when_it_is_written_anew_with_the_same_time_and_size(desk: Desk) -> None:
    path = desk.folder / "key"
    store = desk.store("file:key")
    seen = set()
    for text in ("one", "two"):
        path.write_text(text)
        path.chmod(0o600)
        os.utime(path, ns=(10**18, 10**18))
        version = store.version("file:key")
        assert version is not None
        seen.add(version.mark)
    assert len(seen) == 2


def test_a_file_that_others_may_read_has_no_version_either(desk: Desk) -> None:
    (desk.folder / "key").write_text("x")
    (desk.folder / "key").chmod(0o644)
    with pytest.raises(SupplyError, match="0644"):
        desk.store("file:key").versions()
