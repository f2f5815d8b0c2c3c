"""A deploy that changes nothing, in the least time: remembered states, one question to every node, a line in the runs.

What `Deployer.prepare` compiled is kept by `remember`; `idle` uses it. Imports little at the top.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.control.link.direct import DirectPlace
from fleet.control.rollout.remembered import Asked, Remembered, RememberedNode, keep, recall
from fleet.control.rollout.shortway import all_idle

if TYPE_CHECKING:
    from fleet.control.inventory.project import Project
    from fleet.control.link.keymemory import KeyMemory
    from fleet.control.rollout.inputs import Inputs
    from fleet.control.rollout.nodejob import NodeJob

PACKAGE = Path(__file__).resolve().parents[2]


def asked_for(project: Project, *, playbook: str, on: str | None, overrides: Sequence[str] = ()) -> Asked:
    """What picks the record of such a deploy."""
    return Asked(
        project=project.root,
        inventory=project.inventory,
        package=PACKAGE,
        home=Path.home(),
        playbook=playbook,
        on=on,
        overrides=tuple(overrides),
    )


def idle(asked: Asked) -> tuple[str, ...] | None:
    """The nodes, when each of them says that it has nothing to do; None when that is not known: take the long way."""
    remembered = recall(asked, environ=os.environ)
    if remembered is None:
        return None
    names = tuple(node.place.node for node in remembered.nodes)
    diary = _Diary(asked)
    if not all_idle(remembered, diary.run_id, memory=lambda: _memory(asked)):
        return None
    diary.write(names)
    return names


def remember(asked: Asked, before: Inputs, *, references: Sequence[str], jobs: Sequence[NodeJob], sync: str) -> bool:
    """Keep what was compiled from `before`. Nodes behind a proxy or another carrier always go the long way."""
    from fleet.control.link.places import Places

    places = Places(tuple(job.target for job in jobs), ssh_config=None, home=asked.home)
    nodes = []
    for job in jobs:
        place = places.of(job.target)
        if job.target.carrier != "fabric" or place.hops(job.target.jump) or place.proxy_command or not place.pins:
            return False
        nodes.append(
            RememberedNode(
                state_id=job.compiled.state.state_id,
                helper=job.helper.text,
                place=DirectPlace(
                    node=job.name,
                    address=job.target.address,
                    host=place.host,
                    port=place.port,
                    user=place.user,
                    host_key=place.pins[0],
                    key_file=job.target.key_file,
                    ssh_config=place.ssh_config,
                ),
            )
        )
    found = Remembered(sync=sync, nodes=tuple(nodes))
    return keep(asked, before, references, found, environ=os.environ)


class _Diary:
    """The run's own lines in PROJECT/.fleet/runs, as `rollout.journal` writes them, without what that imports."""

    def __init__(self, asked: Asked) -> None:
        self._folder = asked.project / ".fleet/runs"
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.run_id = f"{stamp}-{os.urandom(4).hex()}"

    def write(self, nodes: Sequence[str]) -> None:
        """One end per node. A disk that takes no line spoils no deploy that changed nothing."""
        at = f"{datetime.now(UTC).isoformat(timespec='milliseconds')}"
        shared = {"run_id": self.run_id, "at": at, "phase": "done", "status": "ok", "outcome": "unchanged"}
        lines = [json.dumps({**shared, "seq": number, "node": node}) for number, node in enumerate(nodes, 1)]
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{self.run_id}.jsonl"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.writelines(f"{line}\n" for line in lines)


def _memory(asked: Asked) -> KeyMemory:
    from fleet.control.link.keymemory import KeyMemory

    return KeyMemory(asked.project / ".fleet/keys")
