"""Environments: the packages of a hash lock as one folder for PYTHONPATH, built here for the node's platform."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from fleet.control.desired.supplies import EnvNeed, Packed
from fleet.control.supply.cache import Cache
from fleet.control.supply.pack import pack_folder
from fleet.control.supply.platforms import machine_of
from fleet.control.supply.uvtool import run_uv
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.codec import digest_of

_RECIPE = 1
"""Counts up when the same lock would give other bytes."""
_OLDEST_MACOS = "14.0"
"""What MLX's oldest wheels want; for a node that was never seen."""


def env_key(need: EnvNeed) -> str:
    """64 hex digits over everything that the folder depends on."""
    os_version = need.os_version if need.platform != "this-machine" else None
    return digest_of(
        [_RECIPE, need.lock_sha256, need.python_version, need.platform, os_version, machine_of(need.platform)]
    )


def build_env(need: EnvNeed, *, cache: Cache, notify: Callable[[str], None] = lambda _: None) -> Packed:
    """The packed folder, from the cache where it was built before. Raises SupplyError."""
    key = env_key(need)
    with cache.making("env", key):
        found = cache.recall_blob("env", key)
        if found is None:
            notify(f"building env {need.name} for {need.platform}, Python {need.python_version}")
            found = _build(need, cache).archive
            cache.remember_blob("env", key, found)
    return Packed(digest=found.hex, archive=found)


def _build(need: EnvNeed, cache: Cache) -> Packed:
    lock = need.lock_path.read_bytes()
    if hashlib.sha256(lock).hexdigest() != need.lock_sha256:
        raise SupplyError(f"{need.lock_path.name} changed while it was being used", hint="run the same command again")
    environment = {}
    words = ["--python", sys.executable, "--python-version", need.python_version]
    if need.platform == "macos-arm64":
        environment["MACOSX_DEPLOYMENT_TARGET"] = need.os_version or _OLDEST_MACOS
        words += ["--python-platform", "aarch64-apple-darwin"]
    with cache.work_folder() as work:
        folder, copy = work / "env", work / "env.lock"
        copy.write_bytes(lock)
        run_uv(
            *("pip", "install", "--quiet", "--target", str(folder), "--require-hashes", "--only-binary", ":all:"),
            *("--no-deps", "--no-compile-bytecode", *words, "-r", str(copy)),
            environment=environment,
            failing=f"env {need.name} cannot be built for {_for_whom(need)}",
            hint="every package needs a wheel for that system; fleet env lock NAME --upgrade takes newer versions",
        )
        clean(folder)
        return pack_folder(folder, cache=cache, skip=_is_litter)


def clean(folder: Path) -> None:
    """Take out what differs between two builds: scripts that name this machine's Python, and their RECORD lines."""
    scripts = folder / "bin"
    if scripts.is_dir():
        for path in list(scripts.iterdir()):
            if path.is_file() and path.read_bytes()[:2] == b"#!":
                path.unlink()
        if not any(scripts.iterdir()):
            shutil.rmtree(scripts)
    for record in folder.glob("*.dist-info/RECORD"):
        rows = [row for row in csv.reader(io.StringIO(record.read_text())) if row]
        kept = sorted(row for row in rows if (folder / row[0]).is_file() and not _is_litter(row[0]))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(kept)
        record.unlink()  # it may be a hard link into uv's cache
        record.write_text(text.getvalue())


def _is_litter(path: str) -> bool:
    parts = path.split("/")
    return "__pycache__" in parts or path.endswith(".pyc") or path == ".lock" or parts[-1] == "uv_cache.json"


def _for_whom(need: EnvNeed) -> str:
    system = f"macOS {need.os_version or _OLDEST_MACOS} (arm64)" if need.platform == "macos-arm64" else "this machine"
    return f"{system}, Python {need.python_version}"
