"""The calendar job of weekly.yml: what launchd is told, and that it is not taken for a daemon that died."""

import plistlib
from pathlib import Path

import msgspec
from desired_kit import a_project
from test_compile import content, daemon, plist

from fleet.control.playbook import load_playbook

ROOT = Path(__file__).resolve().parents[3]


def test_a_front_makes_the_report_by_the_calendar_and_when_it_starts(tmp_path: Path) -> None:
    text = (ROOT / "playbooks" / "weekly.yml").read_text()
    compiled = a_project(tmp_path, playbook=text).one("front-1")
    job = plistlib.loads(plist(compiled, "weekly").encode())
    assert job["StartCalendarInterval"] == {"Hour": 6, "Minute": 30}
    assert job["RunAtLoad"] is True
    assert "KeepAlive" not in job
    assert job["Umask"] == 0o027
    assert job["ProgramArguments"][1:] == [
        *("-s", "-m", "fleet.practice.weekly", "--config", "/opt/fleet/etc/gateway.json"),
        *("--key-file", "/opt/fleet/etc/agent.token", "--out", "/opt/fleet/var/reports"),
    ]
    assert all("/opt/fleet/" in part for part in job["EnvironmentVariables"]["PYTHONPATH"].split(":"))
    assert "weekly" in daemon(compiled, "weekly").label


def test_a_job_that_ends_by_itself_is_none_of_those_that_the_agent_misses(tmp_path: Path) -> None:
    text = (ROOT / "playbooks" / "weekly.yml").read_text()
    compiled = a_project(tmp_path, playbook=text).one("front-1")
    watched = msgspec.json.decode(content(compiled, "/opt/fleet/etc/agent.json"))
    assert [one["name"] for one in watched["services"]] == ["agent", "gateway"]
    assert any(path.endswith("weekly.log") for path in watched["logs"])


def test_its_hour_is_the_inventorys(tmp_path: Path) -> None:
    text = (ROOT / "playbooks" / "weekly.yml").read_text()
    kit = a_project(tmp_path, playbook=text, overrides=("weekly_hour=5", "weekly_minute=0"))
    job = plistlib.loads(plist(kit.one("front-1"), "weekly").encode())
    assert job["StartCalendarInterval"] == {"Hour": 5, "Minute": 0}


def test_weekly_yml_is_site_yml_and_the_job() -> None:
    site, weekly = (load_playbook(ROOT / "playbooks" / f"{name}.yml") for name in ("site", "weekly"))
    added = [task.name for play in weekly.plays for task in play.tasks]
    there = [task.name for play in site.plays for task in play.tasks]
    assert [name for name in added if name not in there] == ["the report of the week"]
    assert [name for name in added if name in there] == there
    checks = [[one.check for play in book.plays for one in play.health] for book in (site, weekly)]
    assert checks[0] == checks[1]
