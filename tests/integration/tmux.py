"""A program in a real terminal: tmux, with a server of its own, which ends with it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TMUX = shutil.which("tmux")


@dataclass(frozen=True)
class Tmux:
    """One program in one window."""

    server: str

    @property
    def text(self) -> str:
        """What the terminal shows now."""
        return self._tmux("capture-pane", "-p").stdout

    @property
    def lines(self) -> list[str]:
        """The same, by lines."""
        return self.text.splitlines()

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names of them."""
        self._tmux("send-keys", *keys)

    def _tmux(self, *words: str) -> subprocess.CompletedProcess[str]:
        return tmux(self.server, *words)


def tmux(server: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One command to one server."""
    assert TMUX is not None
    return subprocess.run([TMUX, "-L", server, "-f", "/dev/null", *words], capture_output=True, text=True, check=False)


@contextmanager
def in_tmux(
    argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], size: tuple[int, int]
) -> Iterator[Tmux]:
    """The program in a terminal of so many columns and lines."""
    server = f"fleet-{uuid.uuid4().hex[:8]}"
    given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    place = ["-c", str(folder), "-x", str(size[0]), "-y", str(size[1])]
    started = tmux(server, "new-session", "-d", *given, *place, shlex.join(argv))
    assert started.returncode == 0, started.stderr
    try:
        yield Tmux(server)
    finally:
        tmux(server, "kill-server")
