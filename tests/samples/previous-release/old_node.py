"""A laptop and a node of the previous release, in a process of their own.

    python -I -S old_node.py ZIP PLACE VERB TEXT

VERB `deploy` holds a whole conversation and applies; `stop` hands the run over and is killed before it begins;
`look` only plans. What came of it is one line of JSON. The node in PLACE is a new one, or what is there after a reboot.
"""

from __future__ import annotations

import io
import json
import plistlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from sync_kit import Node, a_layout

from fleet.node.sync.apply import apply
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.disk import Disk
from fleet.node.sync.frames import Wire
from fleet.node.sync.machine import Machine
from fleet.node.sync.session import Session
from fleet.testing.clock import FakeClock
from fleet.testing.launchd import FakeMac
from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.contracts.sync import MAGIC, BlobPart, Bye, Commit, Desired


def main(place: Path, verb: str, text: str) -> None:
    """Do it, and say what came of it."""
    node = _node(place)
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), text)
    release.tree("node", {"a.py": b"1"}).daemon("agent")
    node.watch(release)
    if verb == "stop":
        node.stage(release)
        _tell({"state_id": release.state.state_id, "run": node.request(release)})
        return
    said = [_frame(Desired(state=release.state))]
    if verb == "deploy":
        for want in Blobs(machine=node.machine, state=release.state).missing():
            content = release.contents[want.digest]
            said.append(_frame(BlobPart(digest=want.digest, offset=0, size=len(content))) + content)
        said.append(_frame(Commit(run_id="old-run", operator="me@old")))
    else:
        said.append(_frame(Bye()))
    out = io.BytesIO()
    wire = Wire(io.BytesIO(b"".join(said)), out)
    Session(machine=node.machine, wire=wire, state_id="-", run_id="old-run").run()
    _tell({"state_id": release.state.state_id, "frames": list(_frames(out.getvalue()))})


def _node(place: Path) -> Node:
    if (place / "fleet").exists():
        node = object.__new__(Node)
        node.layout, node.clock, node._runs = a_layout(place), FakeClock(), 0
        node.mac = FakeMac(node.clock)
        node.machine = Machine(layout=node.layout, disk=Disk(), host=node.mac, clock=node.clock)
    else:
        node = Node(place)
        apply_job = {"Label": node.layout.apply_label, "ProgramArguments": ["/bin/sh"]}
        Path(node.layout.plist(node.layout.apply_label)).write_bytes(plistlib.dumps(apply_job))
    at_work: list[bool] = []

    def job() -> None:
        if not at_work:
            at_work.append(True)
            apply(node.machine)
            at_work.clear()

    node.mac.errands[node.layout.apply_label] = job
    node.mac.reboot(node.layout.daemons_dir)
    return node


def _tell(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


def _frame(value: object) -> bytes:
    text = canonical(value)
    return b"%d\n%b\n" % (len(text), text)


def _frames(raw: bytes) -> Iterator[dict[str, object]]:
    rest = raw[len(MAGIC) :]
    while rest:
        size, _, rest = rest.partition(b"\n")
        frame = json.loads(rest[: int(size)])
        rest = rest[int(size) + 1 :]
        frame.pop("texts", None)
        yield frame


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
