"""What a screen shows, as files: the picture as SVG, and what it says as JSON. Never over a file that is there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fleet.control.watch.masking import masked, masked_values

_MOST_OF_A_SECOND = 100


def document_text(document: object) -> str:
    """JSON as `--json` prints it, without secrets."""
    return json.dumps(masked_values(document), indent=2, ensure_ascii=False) + "\n"


def write_export(folder: Path, name: str, *, at: datetime, svg: str, document: object) -> tuple[Path, ...]:
    """Write NAME-TIME.svg and, where there is a document, NAME-TIME.json, for their owner only.

    Two in one second get numbers. Raises OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stem in _stems(f"{name}-{at:%Y%m%dT%H%M%SZ}"):
        picture, data = folder / f"{stem}.svg", folder / f"{stem}.json"
        if data.exists():
            continue
        try:
            _write_new(picture, masked(svg))
        except FileExistsError:
            continue
        if document is None:
            return (picture,)
        _write_new(data, document_text(document))
        return (picture, data)
    raise FileExistsError(f"{folder} has {_MOST_OF_A_SECOND} exports of this second")


def _write_new(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _stems(stem: str) -> Iterator[str]:
    yield stem
    for number in range(2, _MOST_OF_A_SECOND + 1):
        yield f"{stem}-{number}"
