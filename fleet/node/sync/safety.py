"""What a desired state may not ask of a process that runs as root. Raises Problem (code `unsafe`)."""

from __future__ import annotations

import re

from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import (
    Blob,
    Command,
    Daemon,
    DesiredState,
    Directory,
    File,
    GenerateGate,
    HttpGate,
    Item,
    Pmset,
    Sysctl,
    Tree,
    WaitFor,
)

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"(?:hmac-)?sha256:[0-9a-f]{64}")
_SETTING = re.compile(r"[A-Za-z0-9_.%-]{1,100}")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(?:/[!-~]*)?")
_TREES = {"python": "python", "env": "envs", "app": "apps", "model": "models", "archive": "archives"}


def check_state(machine: Machine, state: DesiredState) -> None:
    """Refuse a state of another schema or node, and paths, labels and digests that are not what they should be."""
    if state.schema != 1:
        raise _unsafe(f"this sync reads desired states of schema 1, not {state.schema}")
    if state.layout != machine.layout:
        raise Problem(
            "the inventory's layout of this node is not the one it was adopted with",
            code="layout",
            hint="change the inventory back, or run fleet adopt again",
        )
    keys: set[str] = set()
    for item in state.items:
        if item.key in keys:
            raise _unsafe(f"{item.key} is there twice")
        keys.add(item.key)
        _check_item(machine, item)
    for gate in state.gates:
        if isinstance(gate, HttpGate | GenerateGate):
            _check_url(gate.url)


def safe_place(machine: Machine, path: str) -> None:
    """Refuse a path that leads through a link which is not the admin's: its owner could turn it elsewhere."""
    folders = path.split("/")[1:-1]
    for parent in ("/", *("/" + "/".join(folders[:count]) for count in range(1, len(folders) + 1))):
        at = machine.disk.stat(parent)
        if at.kind == "link" and at.owner not in ("root", machine.layout.admin):
            raise _unsafe(f"{path} leads through the link {parent} of {at.owner}")


def check_path(path: str) -> None:
    """Refuse a path that is not absolute and plain."""
    named = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    plain = path.isprintable() and path == path.strip() and path == named
    if not plain or not path.startswith("/") or path.startswith("//") or path == "/" or ".." in path.split("/"):
        raise _unsafe(f"not a plain absolute path: {path!r}")


def _check_item(machine: Machine, item: Item) -> None:
    match item:
        case Directory() | File():
            _check_place(machine, item.path)
            if item.mode & ~0o1777 or (isinstance(item, File) and item.mode & 0o1000):
                raise _unsafe(f"{item.path}: mode {item.mode:o}")
            if isinstance(item, File):
                _check_blob(item.blob)
        case Tree():
            _check_tree(machine, item)
        case Daemon():
            _check_daemon(machine, item)
        case Pmset() | Sysctl():
            for key, value in item.settings.items():
                if not _SETTING.fullmatch(key) or not _SETTING.fullmatch(str(value)):
                    raise _unsafe(f"{item.kind} {key}={value}")
        case Command():
            if not item.argv or not item.argv[0].startswith("/"):
                raise _unsafe(f"command {item.name!r} does not begin with an absolute path")
        case WaitFor():
            if item.url is not None:
                _check_url(item.url)


def _check_place(machine: Machine, path: str) -> None:
    """Paths outside the root are the playbook's explicit wish; fleet's own records and the system are nobody's."""
    check_path(path)
    if machine.layout.reserves(path):
        raise _unsafe(f"{path} is not a place for files of a playbook")


def _check_tree(machine: Machine, item: Tree) -> None:
    check_path(item.path)
    folder = _TREES.get(item.role)
    if folder is None or item.path.rpartition("/")[0] != f"{machine.layout.root}/{folder}":
        raise _unsafe(f"{item.path} is not a place for the {item.role} of a state")
    if (item.archive is None) == (not item.files):
        raise _unsafe(f"{item.key} has neither or both of an archive and files")
    for blob in [file.blob for file in item.files] + ([item.archive] if item.archive else []):
        _check_blob(blob)
    for file in item.files:
        check_path(f"/{file.path}")
        if file.mode & ~0o777:
            raise _unsafe(f"{item.key}: {file.path}: mode {file.mode:o}")


def _check_daemon(machine: Machine, item: Daemon) -> None:
    if not _LABEL.fullmatch(item.label):
        raise _unsafe(f"not a label: {item.label!r}")
    if item.label == machine.layout.apply_label or item.label.startswith("com.apple."):
        raise _unsafe(f"{item.label} is not a playbook's to change")
    _check_blob(item.plist)
    check_path(item.program)
    for path in item.logs:
        check_path(path)


def _check_blob(blob: Blob) -> None:
    if not _DIGEST.fullmatch(blob.digest) or blob.size < 0:
        raise _unsafe(f"not a digest: {blob.digest!r}")


def _check_url(url: str) -> None:
    if not _URL.fullmatch(url):
        raise _unsafe(f"not an http address: {url!r}")


def _unsafe(title: str) -> Problem:
    return Problem(title, code="unsafe", hint="this is a mistake in fleet or in a playbook: nothing was changed")
