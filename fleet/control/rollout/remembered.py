"""What the last compile gave, as far as a deploy needs it to ask every node whether it is idle: PROJECT/.fleet/cache.

Kept by the stats of all that was read (`inputs.py`), so it is used only while nothing of that has changed. A record
that is stale, broken or of another fleet is no record: it costs time and nothing else. It holds no secret: of each
reference it knows a file's stats, or a digest keyed by a salt of its own. Standard library only, imports little.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet import __version__
from fleet.control.link.direct import DirectPlace
from fleet.control.rollout.inputs import Inputs, inputs_of

_SCHEMA = 1
_KEPT = 16
_FILES = ("file", "sops")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for on the command line, and where: all that picks one record among others."""

    project: Path
    inventory: Path
    package: Path
    home: Path
    playbook: str = "site.yml"
    on: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where the record of such a deploy is."""
        words = [str(self.inventory), self.playbook, self.on, self.overrides, os.environ.get("FLEET_CACHE")]
        name = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
        return self.project / ".fleet/cache" / f"idle-{name}.json"

    def inputs(self, references: Iterable[str]) -> Inputs:
        """What everything is now."""
        files = [path for path in (secret_file(one, self.project) for one in references) if path]
        return inputs_of(self.project, self.inventory, package=self.package, home=self.home, more=files)


@dataclass(frozen=True, kw_only=True)
class RememberedNode:
    """One node: where it is, and the state that it should have. `helper` is how its helper is called, quoted."""

    state_id: str
    helper: str
    place: DirectPlace


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """All nodes of one deploy, in the order of the inventory. `sync` is the digest of the sync that goes with it."""

    sync: str
    nodes: tuple[RememberedNode, ...]


def keep(
    asked: Asked, before: Inputs, references: Sequence[str], found: Remembered, *, environ: Mapping[str, str]
) -> bool:
    """Keep what was compiled from `before`; whether that could be done honestly."""
    salt = secrets.token_hex(16)
    marks = _marks(references, salt, environ)
    now = asked.inputs(references)
    if marks is None or not before.settled or not found.nodes or asked.inputs(()).digest != before.digest:
        return False
    data = {
        "schema": _SCHEMA,
        "fleet": __version__,
        "inputs": now.digest,
        "references": list(references),
        "salt": salt,
        "marks": marks,
        "sync": found.sync,
        "nodes": [asdict(node) for node in found.nodes],
    }
    with suppress(OSError):
        _write(asked.path, json.dumps(data).encode())
        return True
    return False


def recall(asked: Asked, *, environ: Mapping[str, str]) -> Remembered | None:
    """What was kept for such a deploy, if all that it was made from is as it was then."""
    try:
        data = json.loads(asked.path.read_bytes())
        if data["schema"] != _SCHEMA or data["fleet"] != __version__:
            return None
        references = [str(one) for one in data["references"]]
        if _marks(references, str(data["salt"]), environ) != data["marks"]:
            return None
        if asked.inputs(references).digest != data["inputs"]:
            return None
        return Remembered(sync=str(data["sync"]), nodes=tuple(_node(one) for one in data["nodes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def secret_file(reference: str, project: Path) -> Path | None:
    """The file of a `file:PATH` or `sops:PATH#KEY` reference."""
    kind, _, rest = reference.partition(":")
    if kind not in _FILES:
        return None
    path = Path(rest.partition("#")[0] if kind == "sops" else rest).expanduser()
    return path if path.is_absolute() else project / path


def _marks(references: Iterable[str], salt: str, environ: Mapping[str, str]) -> list[str] | None:
    """How each secret that is no file was, as keyed digests; None where only asking for it would tell."""
    found = []
    for reference in references:
        kind, _, name = reference.partition(":")
        if kind == "env":
            value = environ.get(name, "")
            found.append(hmac.new(salt.encode(), value.encode(errors="surrogateescape"), hashlib.sha256).hexdigest())
        elif kind not in _FILES:
            return None
    return found


def _node(data: Mapping[str, Any]) -> RememberedNode:
    return RememberedNode(
        state_id=str(data["state_id"]), helper=str(data["helper"]), place=DirectPlace(**data["place"])
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
    others = sorted(path.parent.glob("idle-*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
    for old in others[_KEPT:]:
        old.unlink(missing_ok=True)
