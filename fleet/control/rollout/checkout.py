"""The project's git repository, as far as a deploy minds it. Asked when something changes only: a no-op runs no git."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_GIT_SECONDS = 20.0


class Checkout(Protocol):
    """What inventory and playbook are at."""

    @property
    def commit(self) -> str | None:
        """HEAD; None without git, or before the first commit."""
        ...

    @property
    def dirty(self) -> bool | None:
        """Whether files differ from HEAD, or git does not know them; None without git."""
        ...

    def knows(self, commit: str) -> bool:
        """Whether the repository holds that commit."""
        ...

    def descends_from(self, commit: str) -> bool:
        """Whether HEAD is that commit or a later one. An unknown one counts as not."""
        ...


class GitCheckout:
    """The repository that holds `root`. Each question is asked once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, ...], tuple[int, str]] = {}

    @property
    def commit(self) -> str | None:
        """HEAD; None without git, or before the first commit."""
        code, text = self._git("rev-parse", "--verify", "--quiet", "HEAD")
        return text.strip() or None if code == 0 else None

    @property
    def dirty(self) -> bool | None:
        """Whether files differ from HEAD, or git does not know them; None without git."""
        code, text = self._git("status", "--porcelain", "--", ".", ":(exclude).fleet")
        return bool(text.strip()) if code == 0 else None

    def knows(self, commit: str) -> bool:
        """Whether the repository holds that commit."""
        return _is_name(commit) and self._git("cat-file", "-e", f"{commit}^{{commit}}")[0] == 0

    def descends_from(self, commit: str) -> bool:
        """Whether HEAD is that commit or a later one. An unknown one counts as not."""
        return _is_name(commit) and self._git("merge-base", "--is-ancestor", commit, "HEAD")[0] == 0

    def _git(self, *words: str) -> tuple[int, str]:
        with self._lock:
            if words not in self._answers:
                self._answers[words] = _run(("git", "-C", str(self._root), *words))
            return self._answers[words]


def _is_name(commit: str) -> bool:
    """Whether that can be a commit. It came from a node: it must never be read as an option."""
    return re.fullmatch(r"[0-9a-f]{7,64}", commit) is not None


def _run(words: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout
