"""The agent's configuration, token and reader, from their files."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from fleet.errors import ConfigError
from fleet.node.agent.linux import LinuxReader
from fleet.node.agent.reading import MacReader
from fleet.node.agent.recorded import RecordedReader
from fleet.node.agent.recordedclock import RecordedClock
from fleet.vocabulary.clock import Clock, SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.secret import Secret


def load_config(path: Path) -> AgentConfig:
    """The configuration in `path`. Raises ConfigError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=AgentConfig)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", place=str(path)) from error
    except msgspec.DecodeError as error:
        raise ConfigError(str(error), place=str(path), hint="fleet deploy writes this file") from error
    if config.fast_seconds <= 0 or config.slow_seconds < config.fast_seconds:
        raise ConfigError("slow_seconds must be at least fast_seconds, and both above 0", place=str(path))
    return config


def load_token(path: Path) -> Secret:
    """The bearer token in `path`. Raises ConfigError: without a token the agent does not listen."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token: {error}", place=str(path)) from error
    if mode & 0o077:
        raise ConfigError("the token can be read by others", place=str(path), hint=f"chmod 600 {path}")
    if not text:
        raise ConfigError("the token is empty", place=str(path))
    return Secret(text)


def reader_of(readings: str) -> MacReader:
    """The reader that the configuration names. Raises ConfigError."""
    kind, _, folder = readings.partition(":")
    if kind == "file" and folder:
        return RecordedReader(Path(folder))
    if readings == "linux":
        return LinuxReader()
    if readings == "macos":
        if platform.system() != "Darwin":
            raise ConfigError("readings: macos needs macOS", hint="linux and file:PATH work elsewhere")
        from fleet.node.agent.libsystem import load
        from fleet.node.agent.macos import MacosReader

        return MacosReader(load())
    raise ConfigError(f"readings: {readings!r} is unknown", hint="one of macos, linux, file:PATH")


def clock_of(readings: str) -> Clock:
    """The clock of the machine that `readings` names."""
    kind, _, folder = readings.partition(":")
    return RecordedClock(Path(folder)) if kind == "file" and folder else SystemClock()
