"""A project: the folder of one fleet. Files come from it first, then from the package; never from a user's home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleet.errors import UsageError

KINDS = ("inventory", "playbooks", "templates", "locks", "models")


def packaged_dir() -> Path:
    """Where the shipped templates, playbooks, locks and example inventories lie: in the wheel, or in the checkout."""
    package = Path(__file__).resolve().parents[2]
    data = package / "_data"
    return data if data.is_dir() else package.parent


@dataclass(frozen=True)
class Project:
    """The folder that holds `inventory/`, and maybe playbooks, templates, locks, models and secrets."""

    root: Path
    inventory: Path

    def file(self, kind: str, name: str) -> Path | None:
        """The file `KIND/NAME` of the project, else of the package, else None."""
        for base in (self.root, packaged_dir()):
            path = base / kind / name
            if path.is_file():
                return path
        return None

    @property
    def state_dir(self) -> Path:
        """What this laptop remembers of the fleet (runs, facts); not committed, never part of a desired state."""
        return self.root / ".fleet"


def find_project(inventory: str | None, *, cwd: Path | None = None) -> Project:
    """The project of `inventory` (a file), else of the current folder or the nearest one above with `inventory/`.

    Raises UsageError.
    """
    here = (cwd or Path.cwd()).resolve()
    if inventory:
        path = (here / inventory).resolve()
        if path.is_dir():
            return Project(path.parent if path.name == "inventory" else path, _only_inventory(path))
        if not path.is_file():
            raise UsageError(f"{inventory}: no such inventory", hint="fleet init makes one; -i FILE names another")
        root = path.parent.parent if path.parent.name == "inventory" else path.parent
        return Project(root, path)
    for folder in (here, *here.parents):
        if (folder / "inventory").is_dir():
            return Project(folder, _only_inventory(folder / "inventory"))
        if folder == Path.home():
            break
    raise UsageError(
        f"no inventory/ in {here} or above it",
        hint="fleet init starts a project here; fleet -i FILE ... names an inventory",
    )


def _only_inventory(folder: Path) -> Path:
    base = folder / "inventory" if (folder / "inventory").is_dir() else folder
    found = sorted([*base.glob("*.yml"), *base.glob("*.yaml")])
    preferred = [path for path in found if path.stem == "fleet"]
    if preferred:
        return preferred[0]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"{base}: no *.yml in it", hint="fleet init starts a project")
    names = ", ".join(path.name for path in found)
    raise UsageError(f"{base}: which inventory? ({names})", hint="name one with -i, or call one of them fleet.yml")
