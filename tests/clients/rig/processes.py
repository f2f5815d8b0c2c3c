"""What the rig starts: each a process of its own, ended when its context is left, its log beside it."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def running(
    log: Path,
    *argv: str,
    answers: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    within_seconds: float = 180.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """`python ARGV` until the context is left; entered when `answers` says so. Raises RuntimeError with its log."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            (sys.executable, "-s", *argv), cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=out, stderr=out
        )
    try:
        until_it_answers(process, answers, log=log, within_seconds=within_seconds)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_it_answers(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], *, log: Path, within_seconds: float
) -> None:
    """Raises RuntimeError with the log's end when the process ends, or says nothing for too long."""
    deadline = time.monotonic() + within_seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "ended" if process.poll() is not None else f"did not answer within {within_seconds:g} s"
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(map(str, process.args[2:5]))} {state}:\n{tail}")  # type: ignore[index]
        time.sleep(0.05)


def body_of(url: str, *, key: str = "", certificate: Path | None = None) -> bytes | None:
    """What a GET answers with 200; None for anything else."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    trust = ssl.create_default_context(cafile=certificate) if certificate is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=2, context=trust) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return None
