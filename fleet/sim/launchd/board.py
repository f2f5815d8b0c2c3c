"""What launchctl prints of the system's jobs, kept as files, so that asking costs launchd nothing.

RUN/jobs/LABEL is `launchctl print system/LABEL`, RUN/jobs/=disabled is `launchctl print-disabled system`. The
simulated launchctl reads them where the folder is there, and asks launchd about everything else.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

FOLDER = "jobs"
DISABLED = "=disabled"
"""No label: launchd's have no equals sign here (the vocabulary's names do not)."""


@dataclass(frozen=True)
class Board:
    """The folder of one node. Every file is replaced whole."""

    run_dir: Path

    def open(self) -> None:
        """Begin with nothing on it."""
        shutil.rmtree(self.run_dir / FOLDER, ignore_errors=True)
        (self.run_dir / FOLDER).mkdir(parents=True)

    def put(self, label: str, text: str) -> None:
        """Show a job as it is now."""
        part = self.run_dir / FOLDER / f"={label}.part"
        part.write_text(text)
        part.replace(self.run_dir / FOLDER / label)

    def drop(self, label: str) -> None:
        """The job is gone."""
        (self.run_dir / FOLDER / label).unlink(missing_ok=True)

    def put_disabled(self, text: str) -> None:
        """Show the overrides."""
        self.put(DISABLED, text)
