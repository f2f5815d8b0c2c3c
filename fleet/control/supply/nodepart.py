"""fleet's own part for nodes, packed from the running fleet: the same bytes for every checkout and user."""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import zipfile
from pathlib import Path

from fleet.control.desired.supplies import Packed
from fleet.control.supply.cache import Cache
from fleet.control.supply.pack import pack_files
from fleet.errors import SupplyError

_MODULES = "node/sync/zipapp_modules.txt"
_NAMED_ANEW = {"fleet/node/sync/start.py": "__main__.py", "fleet/node/sync/plainclasses.py": "dataclasses.py"}
"""What the zipapp starts with must not be a module of the package, since that decides where the package is. And what
lies at its root comes before the standard library."""
_KINDS = (".py", ".html")
_PRACTICE = ("practice/__init__.py", "practice/budget.py", "practice/sources.py", "practice/weekly")
"""What a front needs for the report of a week, and no more: what is in here restarts daemons when it changes."""
_APP = ("__init__.py", "errors.py", "vocabulary", "traffic", "engines", *_PRACTICE, "node")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def package_dir() -> Path:
    """The folder of the running `fleet` package."""
    return Path(__file__).resolve().parents[2]


def sync_zipapp() -> tuple[str, bytes]:
    """64 hex digits and the bytes of the zipapp that sync travels as. Stored, since zlibs differ."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        files = sync_files()
        for name, content in sorted((_NAMED_ANEW.get(path, path), content) for path, content in files.items()):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    data = out.getvalue()
    return hashlib.sha256(data).hexdigest(), data


def sync_files() -> dict[str, bytes]:
    """The modules of the zipapp, by path. Raises SupplyError when one is not there."""
    root = package_dir().parent
    found: dict[str, bytes] = {}
    for line in (package_dir() / _MODULES).read_text().splitlines():
        entry = line.split("#")[0].strip()
        if not entry:
            continue
        paths = sorted(root.glob(entry)) if "*" in entry else [root / entry]
        if not paths or not all(path.is_file() for path in paths):
            raise SupplyError(f"{entry} is not in this installation of fleet", hint="install fleet again")
        found.update((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)
    return found


def foreign_imports(files: dict[str, bytes]) -> list[str]:
    """What the modules import at the top beside the standard library and each other: `PATH: NAME`, none when sound."""
    own = {path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".") for path in files}
    wrong: list[str] = []
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in own else base for alias in node.names]
            else:
                continue
            wrong += [
                f"{path}: {name}"
                for name in names
                if name not in own and name.split(".")[0] not in sys.stdlib_module_names
            ]
    return wrong


def app_archive(cache: Cache) -> Packed:
    """The packages that daemons on nodes import: modules, and the pages that they show."""
    root = package_dir()
    files: dict[str, bytes] = {}
    for name in _APP:
        paths = [root / name] if name.endswith(".py") else sorted((root / name).rglob("*"))
        paths = [path for path in paths if path.suffix in _KINDS]
        files.update((f"fleet/{path.relative_to(root).as_posix()}", path.read_bytes()) for path in paths)
    return pack_files(files, cache=cache)
