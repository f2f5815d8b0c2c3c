"""The configuration of the moment: swapped whole, the last good one kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet.errors import ConfigError
from fleet.node.gateway.config import Loaded, load

_FIXED = ("listen", "admin_port", "state_dir", "log_file", "log_bytes")


class Current:
    """What the gateway runs with. `problem` is why the newest file is not it, for /readyz and /healthz."""

    def __init__(self, path: Path, *, read: Callable[[Path], Loaded] = load) -> None:
        self._path = path
        self._read = read
        self.loaded = read(path)
        self._started = self.loaded.config
        self.problem: str | None = None

    def reload(self) -> bool:
        """Read the file again. Whether it is in force now; if not, nothing has changed but `problem`."""
        try:
            loaded = self._read(self._path)
        except ConfigError as error:
            self.problem = error.title.replace(f"{self._path.parent}/", "")
            return False
        self.loaded = loaded
        fixed = [name for name in _FIXED if _differ(self._started, loaded.config, name)]
        self.problem = f"{', '.join(fixed)} changed: that needs a restart" if fixed else None
        return True


def _differ(old: object, new: object, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))
