"""Which of our keys a node accepted last, so that it is offered first. Fingerprints only: nothing secret is kept."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True)
class KeyMemory:
    """One small file per login in `folder`. A folder that cannot be used remembers nothing; None is no folder."""

    folder: Path | None = None

    def recall(self, login: str) -> str | None:
        """The fingerprint that worked last for `USER@HOST port PORT`."""
        if self.folder is None:
            return None
        try:
            text = self._place(login).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if _FINGERPRINT.fullmatch(text) else None

    def remember(self, login: str, fingerprint: str) -> None:
        """Keep it. The file is replaced in one rename."""
        if self.folder is None or self.recall(login) == fingerprint:
            return
        place = self._place(login)
        part = place.with_name(f"{place.name}.{os.getpid()}.part")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(fingerprint + "\n")
            part.replace(place)

    def _place(self, login: str) -> Path:
        assert self.folder is not None
        return self.folder / re.sub(r"[^A-Za-z0-9@._-]", "_", login)[:200]
