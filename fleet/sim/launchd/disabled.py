"""The disabled overrides of a node: kept outside the plists, one file per store, and they survive a reboot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DisabledStore:
    """`disabled.json` for system, `disabled.UID.json` for gui/UID and user/UID, which share one (FACTS section 1.1)."""

    folder: Path

    def _file(self, domain: str) -> Path:
        _, _, uid = domain.partition("/")
        return self.folder / (f"disabled.{uid}.json" if uid else "disabled.json")

    def entries(self, domain: str) -> dict[str, bool]:
        """Label -> whether it is disabled, for every label that was ever enabled or disabled."""
        try:
            return dict(json.loads(self._file(domain).read_text()))
        except (OSError, ValueError):
            return {}

    def put(self, domain: str, label: str, *, disabled: bool) -> None:
        """Record an override. It stays for ever, also of a label that nobody knows."""
        text = json.dumps({**self.entries(domain), label: disabled}, indent=1)
        part = self._file(domain).with_suffix(".part")
        part.write_text(text + "\n")
        part.replace(self._file(domain))

    def is_disabled(self, domain: str, label: str, *, default: bool) -> bool:
        """Whether launchd refuses the label: the override wins over the plist's own `Disabled`."""
        return self.entries(domain).get(label, default)
