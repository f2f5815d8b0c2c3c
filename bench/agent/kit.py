"""What a run needs: a node's packages, glances by its lock, node_exporter and strace of the system."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.agent.targets import EXPORTER
from bench.gateway import kit

LOCK = Path(__file__).resolve().parent / "glances.lock"


def prepare(*, peers: bool) -> None:
    """Make what is missing. Raises NotReady."""
    wanted = ("strace", *((EXPORTER,) if peers else ()))
    missing = [name for name in wanted if shutil.which(name) is None]
    if sys.platform != "linux" or missing:
        raise kit.NotReady(
            f"the benchmark wants Linux and {', '.join(missing or wanted)}: install them and run it again"
        )
    kit.BENCH.mkdir(exist_ok=True)
    kit.environment("node", kit.LOCKS["node"])
    if peers:
        kit.environment("glances", LOCK)
    subprocess.run([str(kit.python("node")), "-m", "compileall", "-q", str(kit.ROOT / "fleet")], check=False)


def versions(*, peers: bool) -> dict[str, str]:
    """What is being compared."""
    found = {"python": kit.said([str(kit.python("node")), "-V"]).removeprefix("Python ")}
    found |= {name: kit.package("node", name) for name in ("msgspec",)}
    if peers:
        exporter = kit.said([EXPORTER, "--version"]).split()
        found |= {
            "node_exporter": exporter[exporter.index("version") + 1],
            "glances": kit.package("glances", "glances"),
        }
    return found
