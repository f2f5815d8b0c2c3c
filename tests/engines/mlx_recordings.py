"""Reading the recordings of mlx_lm.server in tests/samples/mlx."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "mlx"


@dataclass(frozen=True)
class Recording:
    """One request and its answer, as they were on the wire."""

    name: str
    request_line: str
    request: str
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def request_json(self) -> Any:
        return json.loads(self.request)


def recording(name: str) -> Recording:
    text = (SAMPLES / name).read_bytes()
    asked = [line[2:] for line in text.decode().splitlines() if line.startswith("> ")]
    head, _, body = text[text.index(b"< HTTP") :].partition(b"\n\n")
    return Recording(name, asked[0], asked[1] if len(asked) > 1 else "", int(head.split()[2]), body)


def recordings(pattern: str) -> list[Recording]:
    return [recording(path.name) for path in sorted(SAMPLES.glob(pattern))]
