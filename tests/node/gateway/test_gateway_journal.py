"""The log: one line per event, late by a quarter of a second at most, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, chunk, head, sends
from gateway_harness import sidecar, until
from gateway_operated import Lines, operated
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import ConfigError
from fleet.node.gateway import journal_file
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.journal_file import FileOut


@pytest.fixture
def said() -> Lines:
    return Lines()


@pytest.fixture
def log(tmp_path: Path, said: Lines) -> Iterator[Journal]:
    journal = Journal(log_file=str(tmp_path / "log" / "gateway.log"), log_bytes=4000, stderr=said)
    yield journal
    journal.close()


def written(tmp_path: Path) -> str:
    return (tmp_path / "log" / "gateway.log").read_text()


async def test_a_line_waits_for_its_fellows_and_is_written_soon(log: Journal, tmp_path: Path) -> None:
    log.event("one")
    log.event("two")
    assert written(tmp_path) == ""
    await until(lambda: written(tmp_path).count("\n") == 2)


async def test_a_warning_is_written_at_once_with_all_before_it_and_on_stderr(
    log: Journal, tmp_path: Path, said: Lines
) -> None:
    log.event("before")
    log.warn("trouble", problem="a disk")
    assert [line.split(" ", 2)[1:] for line in written(tmp_path).splitlines()] == [
        ["INFO", "before"],
        ["WARNING", 'trouble problem="a disk"'],
    ]
    assert "trouble" in said.text
    assert "before" not in said.text


def test_without_a_loop_every_line_is_written_at_once(log: Journal, tmp_path: Path) -> None:
    log.event("started")
    assert "started" in written(tmp_path)


async def test_closing_writes_what_waits_and_what_comes_after_it(log: Journal, tmp_path: Path) -> None:
    log.event("one")
    log.close()
    assert "one" in written(tmp_path)
    log.event("two")
    assert "two" in written(tmp_path)


async def test_many_lines_at_once_stay_within_the_bound_and_none_is_cut(log: Journal, tmp_path: Path) -> None:
    for number in range(200):
        log.event("line", number=number)
    log.flush()
    files = sorted((tmp_path / "log").iterdir())
    assert [file.name for file in files] == ["gateway.log", "gateway.log.1"]
    assert sum(file.stat().st_size for file in files) <= 4000
    lines = (files[1].read_text() + files[0].read_text()).splitlines()
    numbers = [int(line.rpartition("=")[2]) for line in lines]
    assert numbers == list(range(numbers[0], 200))


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        journal = Journal(log_file=str(tmp_path / "gateway.log"), stderr=Lines())
        journal.event(name)
        journal.close()
    assert [line.split()[-1] for line in (tmp_path / "gateway.log").read_text().splitlines()] == ["one", "two"]


def test_a_full_disk_is_told_once_loses_lines_and_raises_nothing(
    tmp_path: Path, said: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(log_file=str(tmp_path / "gateway.log"), stderr=said)
    journal.event("before")

    class Full(journal_file.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(journal_file, "FileIO", Full)
        journal.close()
        for number in range(3):
            journal.event("lost", number=number)
        assert [line for line in said.lines if "cannot be written" in line] == said.lines
        assert len(said.lines) == 1
        assert "No space left" in said.text
    journal.event("after")
    assert "3 lines were lost" in said.lines[-1]
    assert len(said.lines) == 2
    assert "after" in (tmp_path / "gateway.log").read_text()
    journal.close()


def test_a_log_that_cannot_be_opened_at_the_start_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the log"):
        FileOut(str(tmp_path / "file" / "log"), 100, told=lambda lines: None)


def test_what_the_web_server_says_of_an_exception_is_one_line_without_its_text(said: Lines) -> None:
    journal = Journal(stderr=said)
    try:
        raise ValueError("the client said: secret")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    journal.close()
    assert said.text.count("\n") == 1
    assert "error=ValueError" in said.text
    assert "test_gateway_journal.py:" in said.text
    assert "secret" not in said.text


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-secret\x00\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key : sk-secret\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nmy secret\r\n",
    ],
)
async def test_a_request_that_is_no_http_is_not_quoted(tmp_path: Path, request_bytes: bytes) -> None:
    async with operated(tmp_path) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writer.write(request_bytes)
        assert b"400 Bad Request" in await reader.read()
        writer.close()
        gateway.journal.flush()
        assert "no_http" in gateway.said.text
        assert "secret" not in gateway.said.text


async def test_what_an_upstream_says_is_for_its_client_and_for_nobody_else(tmp_path: Path, mlx: Any) -> None:
    """Servers quote what they refuse."""
    refuses = await mlx(sends(head(400) + b'{"error": {"message": "invalid: my secret", "code": "bad_value"}}'))
    fails = await mlx(sends(STREAM_HEAD + chunk(content="a") + b'data: {"error": {"message": "bad: my secret"}}\n\n'))
    api = sidecar(refuses, "api", kind="api", engine="openai_compatible")
    async with operated(tmp_path, api, sidecar(fails, "own", serves="other")) as gateway:
        assert "my secret" in await (await gateway.chat()).text()
        for _ in range(3):
            assert "my secret" in await (await gateway.chat(model="other", stream=True)).text()
        gateway.journal.flush()
        assert "the upstream refused the request (bad_value)" in gateway.said.text
        assert "own: the upstream failed, in words of its own (upstream_error)" in gateway.said.text
        shown = await (await gateway.get("/readyz", key=None)).text()
        status, routes = await gateway.ask("/admin/routes")
        assert status == 200
        assert "secret" not in gateway.said.text + shown + str(routes)


@given(st.text())
def test_any_value_stays_one_value_on_one_line(value: str) -> None:
    said = Lines()
    journal = Journal(stderr=said)
    journal.event("event", value=value, last="end")
    journal.close()
    (line,) = said.text.splitlines()
    assert line.endswith(" last=end")
    shown = line.partition(" value=")[2].removesuffix(" last=end")
    assert shown.startswith('"') or " " not in shown


async def test_the_line_of_a_request_says_where_it_went_and_what_it_took(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        answer = await one.chat(messages=[{"role": "user", "content": "my secret plan"}])
        assert answer.status == 200
        content = (await answer.json())["choices"][0]["message"]["content"]
        await until(lambda: "request id=" in one.said.text)
        (line,) = [line for line in one.said.text.splitlines() if " request " in line]
        fields = dict(field.split("=", 1) for field in line.split() if "=" in field)
        assert fields["id"] == answer.headers["x-fleet-request-id"]
        assert {
            name: fields[name] for name in ("outcome", "status", "surface", "lane", "key", "route", "upstream")
        } == {
            "outcome": "ok",
            "status": "200",
            "surface": "chat",
            "lane": "interactive",
            "key": "ann",
            "route": "smol",
            "upstream": "mini-1.chat",
        }
        assert fields["attempts"] == "1"
        assert int(fields["completion_tokens"]) > 0
        assert "cached_tokens" in fields
        assert float(fields["first_token_seconds"]) <= float(fields["seconds"])
        assert "secret" not in one.said.text
        assert content not in one.said.text


async def test_a_failed_request_is_a_warning_with_its_problem(tmp_path: Path, mlx: Any) -> None:
    gone = await mlx()
    await gone.stop()
    async with operated(tmp_path, sidecar(gone)) as one:
        assert (await one.chat()).status == 503
        assert "WARNING request" in one.said.text
        assert "problem=" in one.said.text
