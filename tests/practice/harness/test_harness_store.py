"""A run on disk: begun once, cut anywhere, written by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured_kit import a_head

from fleet.errors import UsageError
from fleet.practice.harness.results import Finished, Outcome
from fleet.practice.harness.store import LINES_FILE, RunBook, begin_run, folder_of, read_run, report_of, runs_in


def a_result(prompt: str) -> Finished:
    return Finished(target="api", prompt=prompt, repeat=0, outcome=Outcome.PASSED, at_milliseconds=5)


def test_a_run_cut_at_any_byte_loses_no_line_that_was_whole_and_takes_more(tmp_path: Path) -> None:
    begin_run(tmp_path, a_head("api", prompts=3))
    book = RunBook(tmp_path)
    for prompt in ("p00", "p01"):
        book.write(a_result(prompt))
    book.close()
    whole = (tmp_path / LINES_FILE).read_bytes()
    first = whole.index(b"\n")
    for cut in range(len(whole) + 1):
        (tmp_path / LINES_FILE).write_bytes(whole[:cut])
        again = RunBook(tmp_path)
        again.write(a_result("p02"))
        again.close()
        # a line without its end is as good as one with it: nothing of it is missing
        kept = {f"p0{n}" for n in range(2) if cut >= (first, len(whole) - 1)[n]}
        assert {key[1] for key in read_run(tmp_path).finished} == kept | {"p02"}


def test_a_run_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    begin_run(tmp_path, a_head("api"))
    book = RunBook(tmp_path)
    with pytest.raises(UsageError, match="another process"):
        RunBook(tmp_path)
    book.close()
    RunBook(tmp_path).close()


def test_a_plan_is_never_written_over(tmp_path: Path) -> None:
    begin_run(tmp_path, a_head("api"))
    with pytest.raises(UsageError, match="already"):
        begin_run(tmp_path, a_head("other"))
    assert read_run(tmp_path).head.targets[0].name == "api"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no harness run"):
        report_of(tmp_path)
    (tmp_path / "run.json").write_text('{"run": 5}')
    with pytest.raises(UsageError, match="no plan"):
        report_of(tmp_path)
    with pytest.raises(UsageError, match="cannot be the name"):
        folder_of(tmp_path, "../elsewhere")


def test_runs_are_listed_the_last_one_first_whatever_else_lies_there(tmp_path: Path) -> None:
    for name, at in (("old", 1), ("new", 2)):
        head = a_head("api")
        begin_run(
            tmp_path / name,
            type(head)(**{**{f: getattr(head, f) for f in head.__struct_fields__}, "started_milliseconds": at}),
        )
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "run.json").write_text("{")
    assert runs_in(tmp_path) == ("new", "old")
