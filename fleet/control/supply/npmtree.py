"""An npm tree: the packages of a lock as one folder, installed here for the nodes' platform, without their scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from fleet.control.desired.needs import NPM_LOCK
from fleet.control.supply.archivekey import npm_digest
from fleet.errors import SupplyError
from fleet.vocabulary.argv import Argv

_SECONDS = 3600.0
_FLAGS = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
NPM_DIARY = "node_modules/.package-lock.json"
"""npm's own note of where it took packages from: the one file that differs between two laptops."""
_FOR = {"macos-arm64": ("--os=darwin", "--cpu=arm64")}


def install_npm(source: Path, folder: Path, *, name: str, sha256: str, platform: str | None) -> None:
    """`npm ci` of the lock in `source` into the empty `folder`. Raises SupplyError.

    Where packages come from is npm's own configuration; every one must have the hash that the lock says.
    """
    for file in NPM_LOCK:
        if (source / file).is_file():
            (folder / file).write_bytes((source / file).read_bytes())
    if npm_digest(folder) != sha256:
        raise SupplyError(f"the lock of {name} changed while it was being used", hint="run the same command again")
    _require_hashes(folder / NPM_LOCK[-1], name)
    argv = Argv.of(*npm_words(), *_FLAGS, *_FOR.get(platform or "", ()))
    try:
        answer = subprocess.run(
            argv.words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SupplyError(f"the packages of {name} cannot be installed", detail=f"npm: {error}") from None
    if answer.returncode:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines() or [f"npm ended with {answer.returncode}"]
        raise SupplyError(
            f"the packages of {name} cannot be installed",
            detail="\n".join(said[-12:]),
            hint="npm's own configuration says where packages come from; fleet bundle takes them where there is a way",
        )


def npm_words() -> tuple[str, ...]:
    """npm, as it is called here: $FLEET_NPM (words), else the one in PATH. Raises SupplyError."""
    if given := os.environ.get("FLEET_NPM"):
        return tuple(given.split())
    found = shutil.which("npm")
    if found is None:
        raise SupplyError(
            "npm is not on this machine, and an archive of npm packages is made with it",
            hint="install Node.js here (npm comes with it), or say FLEET_NPM='/path/to/node /path/to/npm-cli.js'",
        )
    return (found,)


def _require_hashes(lock: Path, name: str) -> None:
    """What a lock does not pin by hash could be anything tomorrow. What lies inside another package is pinned by it."""
    try:
        packages = dict(json.loads(lock.read_bytes())["packages"])
    except (ValueError, KeyError, TypeError) as error:
        raise SupplyError(
            f"the lock of {name} cannot be read: {error}", hint="npm install --package-lock-only"
        ) from None
    bare = [
        path
        for path, package in packages.items()
        if path and not package.get("integrity") and not package.get("inBundle") and not package.get("link")
    ]
    linked = [path for path, package in packages.items() if package.get("link")]
    if bare or linked:
        raise SupplyError(
            f"the lock of {name} does not pin everything by hash",
            detail=", ".join(sorted([*bare, *linked])[:5]),
            hint="packages of a registry only: no folder, no git address",
        )
