"""Write the samples of the previous release: `python generate.py CHECKOUT COMMIT`, CHECKOUT being a copy of its tree.

sync.zip          its sync, with its fakes and its kit of nodes: old_node.py runs it as it was
helper.sh         what its adopt put on nodes
agent.json        what its deploy wrote for the agent, and gateway.json with keys.json for a front
state.json        a desired state as its nodes keep it
history.sqlite3   a history that its agent wrote
release.json      which commit that was, and what it called the state
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATE = (1980, 1, 1, 0, 0, 0)
TESTING = ("fleet/testing/__init__.py", "fleet/testing/clock.py", "fleet/testing/launchd.py")
GOLDENS = {
    "agent.json": "front-1.agent.json",
    "gateway.json": "front-1.gateway.json",
    "keys.json": "front-1.keys.json",
    "state.json": "mini-1.state.json",
}
HISTORY = """
import sys
from pathlib import Path
from fleet.node.agent.history import History
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.snapshot import Snapshot
clock = FakeClock()
history = History(Path(sys.argv[1]), clock, node="mini-1", pace_seconds=5.0)
for ratio in (0.1, 0.2, 0.3):
    at = clock.now().timestamp()
    history.append(Snapshot(node="mini-1", at_seconds=at, agent_version="0", readings="macos", cpu_ratio=ratio))
    clock.advance(5)
history.flush()
history.close()
"""
NAMES = """
import sys
from pathlib import Path
import fleet
from fleet.vocabulary.contracts.codec import decode
from fleet.vocabulary.contracts.desired import DesiredState
print(decode(Path(sys.argv[1]).read_bytes(), DesiredState).state_id, fleet.__version__)
"""


def main(checkout: Path, commit: str) -> None:
    """Write every sample anew."""
    listing = (checkout / "fleet/node/sync/zipapp_modules.txt").read_text().splitlines()
    entries = [line.split("#")[0].strip() for line in listing]
    paths = {path for entry in entries if entry for path in checkout.glob(entry)}
    paths |= {checkout / name for name in TESTING}
    with zipfile.ZipFile(HERE / "sync.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(paths):
            _add(archive, path.relative_to(checkout).as_posix(), path)
        _add(archive, "sync_kit.py", checkout / "tests/node/sync/sync_kit.py")
    (HERE / "helper.sh").write_bytes((checkout / "fleet/node/sync/helper.sh").read_bytes())
    for name, golden in GOLDENS.items():
        (HERE / name).write_bytes((checkout / "tests/goldens/desired" / golden).read_bytes())
    history = HERE / "history.sqlite3"
    history.unlink(missing_ok=True)
    _run(checkout, HISTORY, history)
    state_id, version = _run(checkout, NAMES, HERE / "state.json").split()
    release = {"commit": commit, "fleet_version": version, "state_id": state_id}
    (HERE / "release.json").write_text(json.dumps(release, indent=2) + "\n")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr = 0o100644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, path.read_bytes())


def _run(checkout: Path, code: str, *words: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=checkout, capture_output=True, text=True, check=True
    )
    return ran.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
