"""An archive of a playbook is a tree of the state, and what names its path changes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from desired_kit import Kit, a_project

from fleet.control.desired.lint import lint
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import File, Tree

PLAYBOOK = """\
- name: p
  hosts: mini-1
  tasks:
    - name: node
      archive: {name: node, url: "{{ vars.node_url }}", sha256: "{{ vars.node_sha256 }}", strip: 1}
    - name: tool
      archive: {name: tool, npm: tool}
    - name: where
      file: {dest: etc/where, content: "{{ archives.tool }}/node_modules of {{ interpreter }}"}
    - name: daemon
      daemon: {label: tool, program: ["{{ archives.node }}/bin/node", "{{ archives['tool'] }}/x.js"], ports: [9000]}
  health:
    - http: {daemon: tool, path: /healthz}
"""
LOCKS = {"locks/tool/package.json": "{}", "locks/tool/package-lock.json": '{"packages": {}}'}


def kit(place: Path, *, pin: str = "a" * 64, playbook: str = PLAYBOOK, files: dict[str, str] | None = None) -> Kit:
    """A project whose mini-1 has two archives."""
    url = "node_url=https://example.com/node.tar.gz"
    return a_project(place, playbook=playbook, files=files or LOCKS, overrides=(url, f"node_sha256={pin}"))


def trees(kit: Kit) -> dict[str, Tree]:
    return {item.name: item for item in kit.one("mini-1").state.items if isinstance(item, Tree)}


def test_an_archive_is_a_tree_below_archives(tmp_path: Path) -> None:
    compiled = kit(tmp_path).one("mini-1").state
    node = trees(kit(tmp_path))["node"]
    assert node.path.startswith(f"{compiled.layout.root}/archives/")
    assert (node.role, node.compile, node.files) == ("archive", False, ())
    assert node.archive is not None
    assert node.archive.digest in compiled.blobs


def test_paths_of_archives_are_filled_into_tasks_and_plists(tmp_path: Path) -> None:
    made = kit(tmp_path)
    compiled, found = made.one("mini-1"), trees(made)
    (daemon,) = compiled.state.daemons
    assert daemon.program == f"{found['node'].path}/bin/node"
    where = next(item for item in compiled.state.items if isinstance(item, File) and item.path.endswith("where"))
    assert (
        compiled.contents[where.blob.digest]
        == f"{found['tool'].path}/node_modules of {compiled.state.interpreter}".encode()
    )


def test_another_pin_changes_the_plist_and_another_lock_the_tree(tmp_path: Path) -> None:
    before = kit(tmp_path / "a").one("mini-1").state
    other = kit(tmp_path / "b", pin="b" * 64).one("mini-1").state
    assert before.daemons[0].plist != other.daemons[0].plist
    changed = kit(tmp_path / "c", files={**LOCKS, "locks/tool/package.json": '{"name": "x"}'})
    assert trees(changed)["tool"].path != trees(kit(tmp_path / "a"))["tool"].path
    assert trees(changed)["node"].path == trees(kit(tmp_path / "a"))["node"].path


def test_a_lock_that_is_not_there_is_said_before_anything_else(tmp_path: Path) -> None:
    made = kit(tmp_path, files={"locks/tool/package.json": "{}"})
    with pytest.raises(PlaybookError, match=r"no package.json and package-lock.json in locks/tool/"):
        made.needs("mini-1")
    found = lint(made.inventory, made.playbook, project=made.project, facts={})
    assert any("locks/tool/" in finding.text for finding in found.findings)
    assert found.errors == 0


def test_a_file_below_archives_is_the_projects_own(tmp_path: Path) -> None:
    playbook = PLAYBOOK.replace("npm: tool", f"file: ../../tool.zip, sha256: {'c' * 64}")
    with pytest.raises(PlaybookError, match=r"no file '../../tool.zip' in archives/"):
        kit(tmp_path, playbook=playbook).needs("mini-1")


def test_an_archive_that_nobody_made_is_told_by_its_name(tmp_path: Path) -> None:
    playbook = PLAYBOOK.replace("archives.tool", "archives.tol")
    with pytest.raises(PlaybookError) as refused:
        kit(tmp_path, playbook=playbook).one("mini-1")
    assert "tol" in refused.value.text


def test_a_pin_that_is_filled_in_must_be_a_pin(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="64 hex digits"):
        kit(tmp_path, pin="latest").needs("mini-1")
