"""What a run needs, made once under `.bench/`: mock and load client, and an environment for each target.

Everything is pinned: Python packages by hash locks, npm packages by a lockfile. Where they come from is the
machine's own setting.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BENCH = ROOT / ".bench"
MOCK, LOAD = BENCH / "bin/mock", BENCH / "bin/load"
LOCKS = {
    "node": ROOT / "locks/node.lock",
    "probe": HERE / "probe.lock",
    "litellm": HERE / "litellm.lock",
}
PORTKEY = BENCH / "portkey"
_WANTED = ("gcc", "taskset")
_WANTED_BY_PEERS = ("node", "npm")


class NotReady(Exception):
    """The kit cannot be made here; the text says why and what to do."""


def prepare(*, peers: bool) -> None:
    """Make what is missing. Raises NotReady."""
    missing = [name for name in (*_WANTED, *(_WANTED_BY_PEERS if peers else ())) if shutil.which(name) is None]
    if sys.platform != "linux" or missing:
        raise NotReady(f"the benchmark wants Linux and {', '.join(missing or _WANTED)}: install them and run it again")
    MOCK.parent.mkdir(parents=True, exist_ok=True)
    for program in (MOCK, LOAD):
        source = HERE / f"{program.name}.c"
        _once(program.name, [source], [["gcc", "-O2", "-Wall", "-o", str(program), str(source)]])
    for name in ("node", "probe", *(("litellm",) if peers else ())):
        environment(name, LOCKS[name])
    if peers:
        _portkey()
    _run([str(python("node")), "-m", "compileall", "-q", str(ROOT / "fleet")])


def python(name: str) -> Path:
    """The interpreter of one of our environments."""
    return BENCH / name / "bin/python"


def versions(*, peers: bool) -> dict[str, str]:
    """What is being compared."""
    found = {"python": said([str(python("node")), "-V"]).removeprefix("Python ")}
    found |= {name: package("node", name) for name in ("aiohttp", "uvloop", "msgspec")}
    if peers:
        portkey = json.loads((PORTKEY / "node_modules/@portkey-ai/gateway/package.json").read_text())
        found |= {"litellm": package("litellm", "litellm"), "portkey": portkey["version"]}
        found["node"] = said(["node", "--version"]).removeprefix("v")
    return found


def environment(name: str, lock: Path) -> None:
    """The packages of a lock, in an environment of their own. Raises NotReady."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise NotReady("uv is missing: `make setup` installs it")
    install = [uv, "pip", "install", "--quiet", "--python", str(python(name)), "--no-deps", "--require-hashes"]
    _once(
        name,
        [lock],
        [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(BENCH / name)],
            [*install, "--compile-bytecode", "-r", str(lock)],
        ],
    )


def _portkey() -> None:
    asked = [HERE / "portkey/package.json", HERE / "portkey/package-lock.json"]
    PORTKEY.mkdir(exist_ok=True)
    for file in asked:
        shutil.copy(file, PORTKEY)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(PORTKEY)]
    _once("portkey", asked, [command])


def _once(name: str, sources: Sequence[Path], commands: Sequence[Sequence[str]]) -> None:
    """Run the commands unless they have been run for these very sources."""
    mark = BENCH / f"{name}.made-from"
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if mark.exists() and mark.read_text() == digest:
        return
    sys.stderr.write(f"making {name}\n")
    for command in commands:
        _run(command)
    mark.write_text(digest)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise NotReady(f"this failed: {' '.join(command)}\n{last}")


def said(command: Sequence[str]) -> str:
    """What a command printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def package(where: str, name: str) -> str:
    """The version of a package in one of our environments."""
    return said([str(python(where)), "-c", f"from importlib.metadata import version; print(version({name!r}))"])
