"""Rankings come from OpenRouter with two requests, patiently, and a key goes nowhere else."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fleet.practice.rankings.archive import diff_of_week
from fleet.practice.rankings.fetch import Answer, NotFetched, Unreached, fetch, retry_after_seconds
from fleet.practice.rankings.monday import archive_fetched, fetch_on_front
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.store import Kept, weeks_in
from fleet.practice.rankings.web import HttpsApi
from fleet.practice.rankings.week import Week
from fleet.sim.upstreams.openrouter import KEY, MODELS, WORLD, SimulatedOpenRouter
from fleet.testing.clock import FakeClock
from fleet.traffic.config import GatewayConfig, Listen, Upstream
from fleet.vocabulary.names import GatewayRole
from fleet.vocabulary.secret import Secret

MONDAY = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
MODELS_BODY = b'{"data": [{"id": "a/x", "canonical_slug": "a/x-2026-01-01"}]}'


def dataset(*mondays: str) -> bytes:
    rows = [{"date": day, "model_permaslug": "a/x-2026-01-01", "total_tokens": "5"} for day in mondays]
    return json.dumps({"data": rows, "meta": {"as_of": "2026-11-23T05:00:00Z"}}).encode()


class Scripted:
    """A Web that gives these answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Answer | Unreached) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str], bool]] = []

    def get(self, path: str, query: Mapping[str, str], *, key: Secret | None) -> Answer:
        self.asked.append((path, query, key is not None))
        answer = self.answers.pop(0)
        if isinstance(answer, Unreached):
            raise answer
        return answer


GOOD = (Answer(status=200, body=dataset("2026-11-09", "2026-11-16")), Answer(status=200, body=MODELS_BODY))


def test_the_last_two_weeks_that_are_over_are_asked_for() -> None:
    web = Scripted(*GOOD)
    found = fetch(web, key=Secret("k"), clock=FakeClock(at=MONDAY))
    assert [one.week for one in found.rankings] == ["2026-W46", "2026-W47"]
    assert found.rankings[1].as_of == "2026-11-23T05:00:00Z"
    assert found.models is not None
    assert web.asked == [
        (
            "/v1/datasets/rankings-daily",
            {"start_date": "2026-11-09", "end_date": "2026-11-22", "period": "week"},
            True,
        ),
        ("/v1/models", {}, False),
    ]


@pytest.mark.parametrize(
    ("answer", "waited"),
    [
        (Answer(status=429, headers={"retry-after": "17"}), 17),
        (Answer(status=503, headers={"retry-after": "Mon, 23 Nov 2026 06:00:30 GMT"}), 30),
        (Answer(status=502), 2),
        (Unreached("refused"), 2),
    ],
)
def test_what_passes_is_waited_for_as_it_says(answer: Answer | Unreached, waited: float) -> None:
    clock = FakeClock(at=MONDAY)
    fetch(Scripted(answer, *GOOD), key=Secret("k"), clock=clock)
    assert clock.elapsed == 1000 + waited


def test_who_asks_for_too_long_a_wait_is_left_and_quoted() -> None:
    clock = FakeClock(at=MONDAY)
    refusal = Answer(status=429, body=b'{"error": {"message": "slow down"}}', headers={"retry-after": "3600"})
    with pytest.raises(NotFetched) as problem:
        fetch(Scripted(refusal), key=Secret("k"), clock=clock)
    assert problem.value.text == "OpenRouter answers 429: slow down\n  hint: it asks to wait 3600 s: try again then"
    assert clock.elapsed == 1000


def test_patience_ends() -> None:
    clock = FakeClock(at=MONDAY)
    with pytest.raises(NotFetched, match="not reached"):
        fetch(Scripted(*[Unreached("refused")] * 9), key=Secret("k"), clock=clock)
    assert clock.elapsed == 1000 + 2 + 4 + 8


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(status=401, body=b"<html>"), "refuses the key (401): no reason given"),
        (Answer(status=200, body=b"<html>"), "are no JSON"),
        (Answer(status=200, body=b'{"data": []}'), "tells nothing of 2026-W47 yet"),
        (Answer(status=200, body=dataset("2026-11-09")), "tells nothing of 2026-W47 yet"),
        (Answer(status=302), "answers 302"),
    ],
)
def test_what_is_no_ranking_says_what_it_is(answer: Answer, said: str) -> None:
    with pytest.raises(NotFetched) as problem:
        fetch(Scripted(answer), key=Secret("sk-very-secret"), clock=FakeClock(at=MONDAY))
    assert said in problem.value.text
    assert "sk-very-secret" not in problem.value.text


def test_rankings_are_kept_though_the_list_of_models_is_missing() -> None:
    found = fetch(Scripted(GOOD[0], Answer(status=404)), key=Secret("k"), clock=FakeClock(at=MONDAY))
    assert found.models is None
    assert found.why == "OpenRouter answers 404: no reason given"
    assert len(found.rankings) == 2


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "1e9", "99999999999"])
def test_an_odd_retry_after_says_nothing(text: str | None) -> None:
    assert retry_after_seconds(text, now=MONDAY) is None


async def test_the_simulated_openrouter_fills_an_archive(tmp_path: Path) -> None:
    clock, names = FakeClock(at=MONDAY), (*MODELS, *WORLD)
    async with SimulatedOpenRouter(models=names, today=date(2026, 11, 23)) as openrouter:
        openrouter.trouble("err=429,retry_after=7", times=1)
        found = await asyncio.to_thread(fetch, HttpsApi(openrouter.url), key=Secret(KEY), clock=clock)
        with pytest.raises(NotFetched, match="refuses the key"):
            await asyncio.to_thread(fetch, HttpsApi(openrouter.url), key=Secret("other"), clock=clock)
    assert clock.elapsed == 1007
    monday = archive_fetched(tmp_path, found)
    assert (str(monday.newest), monday.models) == ("2026-W47", Kept.NEW)
    assert [(str(one.week), one.kept) for one in monday.archived] == [("2026-W46", Kept.NEW), ("2026-W47", Kept.NEW)]
    assert weeks_in(tmp_path) == (Week(2026, 46), Week(2026, 47))
    assert {name for one in monday.archived for name in one.unknown} == {"sim/gone-alpha-2026-11-01"}
    compared = diff_of_week(tmp_path, Week(2026, 47), ours=Ours(), today=date(2026, 11, 23))
    assert compared is not None
    assert compared.before_week == Week(2026, 46)
    assert all(move.wow is not None for move in compared.watched)


async def test_nobody_asks_for_rankings_more_than_thirty_times_a_minute() -> None:
    async with SimulatedOpenRouter(today=date(2026, 11, 23)) as openrouter:
        web, path = HttpsApi(openrouter.url), "/v1/datasets/rankings-daily"

        def ask() -> list[Answer]:
            return [web.get(path, {"period": "week"}, key=Secret(KEY)) for _ in range(31)]

        answers = await asyncio.to_thread(ask)
    assert [one.status for one in answers] == [*[200] * 30, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


def test_a_key_follows_no_redirect() -> None:
    seen: list[tuple[str, str | None]] = []

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = HttpsApi(f"http://127.0.0.1:{server.server_port}").get("/v1/models", {}, key=Secret("k"))
        thread.join()
        port = server.server_port
    assert (answer.status, seen) == (302, [("/v1/models", "Bearer k")])
    with pytest.raises(Unreached):
        HttpsApi(f"http://127.0.0.1:{port}").get("/v1/models", {}, key=None)


def test_a_week_that_openrouter_corrects_later_stays_and_is_told(tmp_path: Path) -> None:
    first = fetch(Scripted(*GOOD), key=Secret("k"), clock=FakeClock(at=MONDAY))
    archive_fetched(tmp_path, first)
    corrected = Answer(status=200, body=GOOD[0].body.replace(b'"5"', b'"6"', 1))
    again = archive_fetched(tmp_path, fetch(Scripted(corrected, GOOD[1]), key=Secret("k"), clock=FakeClock(at=MONDAY)))
    assert [(str(one.week), one.kept) for one in again.archived] == [("2026-W47", Kept.SAME)]
    assert again.models is Kept.SAME
    assert again.refused == {
        "2026-W46": ("a/x-2026-01-01: rank 1, 5 tokens in the archive, rank 1, 6 tokens in the new one",)
    }


async def test_a_front_asks_with_its_own_key(tmp_path: Path) -> None:
    def config(**more: object) -> GatewayConfig:
        upstream = Upstream(
            name="openrouter/x", kind="api", url=url, engine="openrouter", serves="x", model="x", **more
        )  # type: ignore[arg-type]
        listen = Listen(host="127.0.0.1", port=1)
        return GatewayConfig(
            node="front-1", role=GatewayRole.FRONT, listen=listen, keys_file="k", upstreams=(upstream,)
        )

    key = tmp_path / "openrouter.key"
    key.write_text(f"{KEY}\n")
    async with SimulatedOpenRouter(today=date(2026, 11, 23)) as openrouter:
        url = openrouter.url
        found = await asyncio.to_thread(fetch_on_front, config(key_file=str(key)), clock=FakeClock(at=MONDAY))
        assert len(found.rankings) == 2
        with pytest.raises(NotFetched, match="no upstream of engine openrouter with a key"):
            fetch_on_front(config(), clock=FakeClock(at=MONDAY))
        with pytest.raises(NotFetched, match="the key of openrouter/x cannot be read: No such file"):
            fetch_on_front(config(key_file=str(tmp_path / "none")), clock=FakeClock(at=MONDAY))
