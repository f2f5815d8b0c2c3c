"""The Python of nodes: a standalone build fetched by uv and packed, or a path that is there already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet.control.desired.supplies import InterpreterNeed, Packed
from fleet.control.supply.cache import Cache
from fleet.control.supply.pack import pack_folder
from fleet.control.supply.platforms import machine_of
from fleet.control.supply.uvtool import run_uv
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.codec import digest_of

_RECIPE = 1
_MACOS = "macos-aarch64-none"
_NEUTRAL = "/install"
"""The prefix that the builds are made with; uv writes its own folder into a few text files instead."""


def fetch_interpreter(
    need: InterpreterNeed, *, cache: Cache, notify: Callable[[str], None] = lambda _: None
) -> Packed | None:
    """The packed build; None when the node has its own at `need.path`. Raises SupplyError.

    uv's settings are obeyed: UV_PYTHON_INSTALL_MIRROR may be a `file://` folder.
    """
    if need.kind != "standalone":
        if need.path is None or not Path(need.path).is_absolute():
            raise SupplyError(f"interpreter: {need.path!r} is not an absolute path", hint="or say `standalone`")
        return None
    wanted, key = _wanted(need), interpreter_key(need)
    with cache.making("interpreter", key):
        found = cache.recall_blob("interpreter", key)
        if found is None:
            notify(f"fetching {wanted}")
            found = _fetch(wanted, cache).archive
            cache.remember_blob("interpreter", key, found)
    return Packed(digest=found.hex, archive=found)


def interpreter_key(need: InterpreterNeed) -> str:
    """64 hex digits over everything that a build depends on; uv's version says which patch release it knows."""
    return digest_of([_RECIPE, _wanted(need), _uv_version(), machine_of(need.platform)])


def _wanted(need: InterpreterNeed) -> str:
    return f"cpython-{need.python_version}" + (f"-{_MACOS}" if need.platform == "macos-arm64" else "")


def _fetch(wanted: str, cache: Cache) -> Packed:
    with cache.work_folder() as work:
        run_uv(
            *("python", "install", "--quiet", "--install-dir", str(work), "--no-bin", wanted),
            failing=f"{wanted} cannot be fetched",
            hint=(
                "without a way out: UV_PYTHON_INSTALL_MIRROR=file:///FOLDER takes builds from a folder, and\n"
                "`interpreter: /path/to/python3` in the inventory uses one that is on the nodes"
            ),
        )
        built = [path for path in work.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != "."]
        if len(built) != 1 or not (built[0] / "bin/python3").exists():
            raise SupplyError(f"{wanted}: what uv fetched is not an interpreter", detail=", ".join(map(str, built)))
        neutralise(built[0])
        return pack_folder(built[0], cache=cache, skip=_is_litter)


def neutralise(folder: Path) -> None:
    """Put the build's own prefix back where the folder of this laptop was written."""
    ours = str(folder).encode()
    candidates = [
        *folder.glob("lib/python3*/_sysconfigdata*.py"),
        *folder.glob("lib/python3*/config-*/Makefile"),
        *folder.glob("lib/pkgconfig/*.pc"),
        *folder.glob("bin/*-config"),
    ]
    for path in candidates:
        text = path.read_bytes()
        if ours in text and not path.is_symlink():
            mode = path.stat().st_mode
            path.unlink()
            path.write_bytes(text.replace(ours, _NEUTRAL.encode()))
            path.chmod(mode)


def _is_litter(path: str) -> bool:
    return "__pycache__" in path.split("/") or path.endswith((".pyc", "/EXTERNALLY-MANAGED"))


def _uv_version() -> str:
    return run_uv("--version", failing="uv does not run").strip()
