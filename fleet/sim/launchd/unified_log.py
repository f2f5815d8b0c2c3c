"""The unified log of a simulated node, in the recorded phrases (`launchctl/log-lines.txt`): what `log show` prints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class UnifiedLog:
    """A file that keeps its newest part."""

    path: Path

    def write(self, text: str, *, domain: str = "system", label: str = "") -> None:
        """One line, in the compact style: time, type, process, subject, text."""
        now = datetime.now().astimezone()
        subject = f"{domain}/{label}" if label else domain
        line = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} Df launchd[1:{1:x}] [{subject}:] {text}\n"
        if self.path.exists() and self.path.stat().st_size > MAX_BYTES:
            kept = self.path.read_text(errors="replace")[-MAX_BYTES // 2 :]
            self.path.write_text(kept.partition("\n")[2])
        with self.path.open("a") as file:
            file.write(line)
