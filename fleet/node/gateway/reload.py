"""The configuration of the moment: swapped whole, the last good one kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet.errors import ConfigError
from fleet.node.gateway.config import Loaded, load
from fleet.traffic.config import GatewayConfig

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
        if _books(self._started) != _books(loaded.config):
            fixed.append("policy.ledger_file or policy.budget_tz")
        self.problem = f"{', '.join(fixed)} changed: that needs a restart" if fixed else None
        return True


def _books(config: GatewayConfig) -> tuple[str, str] | None:
    """What the books of a process are made of: they are counted once."""
    policy = config.policy
    return None if policy is None else (policy.ledger_file, policy.budget_tz)


def _differ(old: object, new: object, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))
