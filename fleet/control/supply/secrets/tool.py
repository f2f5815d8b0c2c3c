"""Another program that is asked for a secret: by argv, with a deadline, and with nothing of its answer in an error.

The program keeps our terminal. What it asks a person there (a line that does not end) is passed on; whatever else it
says is kept for an error, without what it printed as its answer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from fleet.errors import SupplyError

_LONGEST_LINE = 200
_LAST_LINES = 3
_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program by its name on PATH. `install` says how to get it; `advice`: words of its trouble -> what to do."""

    name: str
    install: str
    advice: Mapping[str, str]
    deadline_seconds: float

    def ask(self, words: Sequence[str], *, about: str, environ: Mapping[str, str]) -> bytes:
        """What it prints. Raises SupplyError, which names `about` and shows nothing of the answer."""
        program = shutil.which(self.name, path=environ.get("PATH"))
        if program is None:
            raise SupplyError(f"{about}: the program {self.name} is not here", hint=self.install)
        try:
            process = subprocess.Popen(
                [program, *words], env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise SupplyError(
                f"{about}: {self.name} does not start: {(error.strerror or str(error)).lower()}", hint=self.install
            ) from None
        answer, said = _Reader(process.stdout, ask=False), _Reader(process.stderr, ask=sys.stderr.isatty())
        try:
            status = process.wait(timeout=self.deadline_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SupplyError(
                f"{about}: {self.name} did not answer within {self.deadline_seconds:.0f} s",
                detail=_tail(said.text(), b""),
                hint=self.waited,
            ) from None
        content, words_said = answer.text(), said.text()  # both are waited for: what it asks must be on the terminal
        if status:
            detail = _tail(words_said, content)
            raise SupplyError(f"{about}: {self.name} ended with {status}", detail=detail, hint=self._advice(detail))
        return content

    @property
    def waited(self) -> str:
        """The advice when it did not answer in time."""
        return f"it may have waited for you: try {self.name} by hand"

    def _advice(self, said: str) -> str:
        lower = said.lower()
        return next((hint for words, hint in self.advice.items() if words in lower), f"try {self.name} by hand")


class _Reader:
    """Reads a pipe in a thread of its own, until it ends."""

    def __init__(self, pipe: IO[bytes] | None, *, ask: bool) -> None:
        self._pipe = pipe
        self._ask = ask
        self._content = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> bytes:
        """What came. A grandchild that holds the pipe is not waited for."""
        self._thread.join(timeout=2.0)
        return bytes(self._content)

    def _read(self) -> None:
        while self._pipe and (chunk := self._pipe.read1(4096)):  # type: ignore[attr-defined] # a BufferedReader
            if len(self._content) < _LIMIT_BYTES:
                self._content += chunk
            line = chunk.rpartition(b"\n")[2]
            if self._ask and line:
                sys.stderr.write(line.decode(errors="replace"))
                sys.stderr.flush()


def _tail(said: bytes, answer: bytes) -> str:
    """The last lines, short, without what steers a terminal and without any line of the answer."""
    text = said.decode(errors="replace")
    for hidden in sorted({line.strip() for line in answer.decode(errors="replace").splitlines()}, key=len)[::-1]:
        if hidden:
            text = text.replace(hidden, "***")
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines()]
    return "\n".join(line[:_LONGEST_LINE] for line in [line for line in lines if line][-_LAST_LINES:])
