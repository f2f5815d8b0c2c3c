"""A mistake in a playbook is told with its place, what was found, what was expected, and the nearest known word."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.control.playbook import load_playbook
from fleet.errors import PlaybookError


def message(tmp_path: Path, text: str) -> str:
    """What a person reads when this playbook is loaded."""
    path = tmp_path / "p.yml"
    path.write_text(text)
    with pytest.raises(PlaybookError) as caught:
        load_playbook(path)
    return caught.value.text.replace(f"{tmp_path}/", "")


def task(text: str) -> str:
    """A playbook whose one task is `text`, from line 4 on."""
    return f"- name: p\n  hosts: all\n  tasks:\n    - {text}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (task("{name: t, direktory: {path: /x}}"), "p.yml:4:17: task: unknown key `direktory`"),
        (task("{name: t, direktory: {path: /x}}"), "did you mean `directory`?"),
        (task("{name: t, directory: {pat: /x}}"), "p.yml:4:29: directory: unknown key `pat`"),
        (task("{name: t, directory: {pat: /x}}"), "did you mean `path`?"),
        (task("{name: t, directory: {}}"), "p.yml:4:28: directory: `path` is missing"),
        (task("{name: t, directory: {path: [1]}}"), "p.yml:4:35: directory.path: expected text, found a list"),
        (
            task("{name: t, directory: {path: /x, mode: 0755}}"),
            "directory.mode: expected text, found 0755\n  hint: quotes make it text",
        ),
        (
            task("{name: t, wait_for: {port: 8800, timeout: soon}}"),
            "expected a span of time like 30s or 5m, found 'soon'",
        ),
        (task("{name: t, daemon: {service: sidecars}}"), "did you mean `sidecar`?"),
        (task("{name: t, command: {argv: [ls]}}"), "at least one of `creates`, `check`, `on_change_of`"),
        (task("{name: t, file: {dest: x}}"), "exactly one of `src`, `content`, `secret`, found none"),
        (task("{name: t, when: {fact: mem_gb, ge: 1}, pmset: {sleep: 0}}"), "did you mean `memory_gb`?"),
        (task("{name: t, reboot: {}}"), "p.yml:4:17: `reboot` is not carried out by this release"),
        (task("{name: t, archive: {name: x, url: 'https://x'}}"), "archive: `url` wants `sha256` beside it"),
        (task("{name: t, archive: {name: x, file: x, sha256: abc}}"), "the 64 hex digits of a SHA-256, found 'abc'"),
        (task("{name: t, archive: {name: x, npm: x, strip: 1}}"), "archive: `npm` and `strip` do not go together"),
        (
            "- name: p\n  hosts: all\n  tasks: []\n  hooks: {}\n",
            "p.yml:4:3: `hooks` is not carried out by this release",
        ),
        (
            "- name: p\n  hosts: all\n  tasks: []\n  strategy: {pause: lunch}\n",
            "a span of time like 30s or 5m, or manual",
        ),
        (
            "- name: p\n  hosts: all\n  tasks: []\n  strategy: {on_failure: revert_most}\n",
            "revert_most",
        ),
        ("plays: []\n", "a playbook is a list of plays, found a mapping"),
        ("", "the file is empty"),
        ("- name: p\n\thosts: all\n", "a tab where YAML wants spaces"),
        ("- {name: p, hosts: a, tasks: []}\n- {name: p, hosts: b, tasks: []}\n", "two plays are called 'p'"),
        ("- name: {{ x }}\n  hosts: all\n  tasks: []\n", "a value that begins with {{ needs quotes"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_word(tmp_path: Path, text: str, said: str) -> None:
    assert said in message(tmp_path, text)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = message(tmp_path, task("{name: t, directory: {pat: /x}}") + "    - {name: u, reboot: {}}\n")
    assert "p.yml:4:29" in text
    assert "p.yml:5:17" in text


def test_a_file_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="cannot be read"):
        load_playbook(tmp_path / "none.yml")
