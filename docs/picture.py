"""Draw docs/demo.svg: a real run of `make demo`, as a terminal shows it. `make picture` runs this.

The run goes through a pty; what it wrote is played on a small screen and exported by rich. Nothing is changed: some
lines are left out (`trimmed`), and where they were stands a dim mark. The demo is taken down again.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "demo.svg"
COLUMNS, ROWS = 84, 50

_CONTROL = re.compile(r"\x1b\[(?P<args>[?0-9;]*)(?P<verb>[A-Za-z])|\r|\n")
_PALETTE = "484f58 ff7b72 56d364 e3b341 79c0ff d2a8ff 56d4dd b1bac4"
_BRIGHT = "6e7681 ffa198 7ee787 f2cc60 a5d6ff e2c5ff b3f0ff f0f6fc"
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- A real run of `make demo`, drawn by `make picture`. -->
<style>
.{unique_id}-matrix {{
  font: {char_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def played(output: str) -> list[str]:
    """The lines that a terminal shows in the end, with their colours: what was overwritten is gone."""
    lines, row = [""], 0
    at = 0
    for control in _CONTROL.finditer(output):
        lines[row] += output[at : control.start()]
        at = control.end()
        match control["verb"] or control[0]:
            case "m":
                lines[row] += control[0]
            case "K":
                lines[row] = ""
            case "A":
                row = max(0, row - int(control["args"] or 1))
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
    lines[row] += output[at:]
    return lines


def run(*words: str) -> str:
    """What a command writes to a terminal of COLUMNS x ROWS. Ends this script when the command fails."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    written = bytearray()
    try:
        while part := os.read(leader, 65536):
            written += part
    except OSError:
        pass  # how a pty says that the other side is closed
    if process.wait():
        sys.exit(f"{written.decode(errors='replace')}\n{' '.join(words)} failed: no picture")
    return written.decode()


def trimmed(lines: list[str]) -> list[str]:
    """The lines that tell the story: of the plan one kind of node in full, and nothing after the end."""
    kept: list[str] = []
    plans = 0
    for line in lines:
        plain = Text.from_ansi(line).plain.rstrip()
        if plain.startswith("Go on:"):
            break
        plans += bool(re.match(r"\S.*\d+ changes", plain))
        left_out = plain.startswith(_LEFT_OUT) or (plans == 1 and plain.startswith("  "))
        if not left_out:
            kept.append(line)
        elif kept[-1] != _GAP:
            kept.append(_GAP)
    while not Text.from_ansi(kept[-1]).plain.strip():
        kept.pop()
    return kept


_GAP = "\x1b[2m  ⋮\x1b[0m"
_LEFT_OUT = ("  + directory ", "  + file etc/")


def drawn(lines: list[str]) -> str:
    """The SVG: a dark terminal, which stands on a light page as well."""
    theme = TerminalTheme(
        _rgb("161b22"), _rgb("c9d1d9"), *([_rgb(one) for one in row.split()] for row in (_PALETTE, _BRIGHT))
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(Text.from_ansi(line), highlight=False, soft_wrap=True)
    svg = console.export_svg(theme=theme, code_format=_SVG, unique_id="demo", title="")
    return re.sub(r"<text [^>]*>\s*</text>", "", svg)


def _rgb(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def main() -> None:
    """Run the demo, draw it, take it down."""
    if (ROOT / ".demo").exists():
        sys.exit("a demo is up: make demo-down first")
    try:
        lines = played(run("make", "--no-print-directory", "demo"))
    finally:
        run("make", "--no-print-directory", "demo-down")
    lines = trimmed(["\x1b[1m$ make demo\x1b[0m", *lines])
    text = "\n".join(lines)
    if found := [str(place) for place in (ROOT, Path.home()) if str(place) in text]:
        sys.exit(f"the picture would show {found[0]}")
    TARGET.write_text(re.sub(r"[ \t]+$", "", drawn(lines), flags=re.MULTILINE))
    sys.stdout.write(f"wrote {TARGET.relative_to(ROOT)}: {len(lines)} lines\n")


if __name__ == "__main__":
    main()
