"""launchd ignores what it does not know, so a plist is checked key by key before it is sent."""

from __future__ import annotations

import plistlib
from typing import Any

import pytest

from fleet.control.desired.keytable import launchd_keys
from fleet.control.desired.plists import check_plist, require_plist
from fleet.errors import PlistError

LABEL = "org.fleet-macs.thing"
JOB = {"Label": LABEL, "ProgramArguments": ["/bin/sleep", "9"]}

RIGHT: dict[str, Any] = {
    "Label": LABEL,
    "Disabled": False,
    "UserName": "fleet",
    "GroupName": "staff",
    "inetdCompatibility": {"Wait": True},
    "LimitLoadToHosts": ["a"],
    "LimitLoadFromHosts": ["a"],
    "LimitLoadToSessionType": ["Aqua", "Background"],
    "LimitLoadToHardware": {"model": ["Mac16,10"]},
    "LimitLoadFromHardware": {"model": ["Mac16,10"]},
    "Program": "/bin/sleep",
    "BundleProgram": "Contents/x",
    "ProgramArguments": ["/bin/sleep", "9"],
    "EnableGlobbing": False,
    "EnableTransactions": False,
    "EnablePressuredExit": False,
    "OnDemand": True,
    "ServiceIPC": False,
    "KeepAlive": {"SuccessfulExit": False, "Crashed": True},
    "RunAtLoad": True,
    "RootDirectory": "/",
    "WorkingDirectory": "/tmp",
    "EnvironmentVariables": {"LANG": "C"},
    "Umask": 63,
    "TimeOut": 5,
    "ExitTimeOut": 30,
    "ThrottleInterval": 10,
    "InitGroups": True,
    "WatchPaths": ["/tmp/x"],
    "QueueDirectories": ["/tmp/x"],
    "StartOnMount": False,
    "StartInterval": 60,
    "StartCalendarInterval": [{"Hour": 3, "Minute": 0}],
    "StandardInPath": "/dev/null",
    "StandardOutPath": "/tmp/x.log",
    "StandardErrorPath": "/tmp/x.log",
    "Debug": False,
    "WaitForDebugger": False,
    "SoftResourceLimits": {"NumberOfFiles": 1024},
    "HardResourceLimits": {"NumberOfFiles": 1024},
    "Nice": 5,
    "ProcessType": "Interactive",
    "AbandonProcessGroup": False,
    "LowPriorityIO": False,
    "LowPriorityBackgroundIO": False,
    "MaterializeDatalessFiles": False,
    "LaunchOnlyOnce": False,
    "MachServices": {"org.x": True, "org.y": {"ResetAtClose": True}},
    "Sockets": {"http": {"SockServiceName": "80", "SockPassive": True}, "more": [{"SockType": "stream"}]},
    "LaunchEvents": {"com.apple.notifyd.matching": {}},
    "HopefullyExitsLast": False,
    "HopefullyExitsFirst": False,
    "SessionCreate": False,
    "LegacyTimers": False,
    "AssociatedBundleIdentifiers": "org.x",
    "Comment": "ours",
}
"""One value that launchd takes, for every key that it knows."""

WRONG: dict[str, Any] = {
    "string": 3,
    "boolean": "true",
    "integer": "3",
    "integer seconds": True,
    "dict": ["x"],
    "array of string": "x",
    "string or array of string": 3,
    "dict of strings": {"A": 3},
    "dict of arrays of string": {"A": "x"},
    "dict of integers": {"NumberOfFiles": "1024"},
    "boolean or dict": "true",
    "integer or string": True,
    "dict or array of dicts": "daily",
    "dict of dict or array": {"http": "80"},
}
"""A value of the wrong type, for every type that the table names."""


def findings(plist: dict[str, Any], *, label: str = LABEL, domain: str = "system") -> list[str]:
    """Level and message of everything that is wrong with a plist."""
    text = plistlib.dumps(plist, sort_keys=False).decode()
    return [f"{one.level}: {one.message}" for one in check_plist(text, label=label, domain=domain)]


def errors(plist: dict[str, Any], **more: str) -> list[str]:
    """The errors alone."""
    return [text for text in findings(plist, **more) if text.startswith("error")]


def table_types() -> dict[str, str]:
    """Key -> type, as the packaged table words it."""
    import importlib.resources

    import yaml

    text = importlib.resources.files("fleet.control.desired").joinpath("launchd_keys.yaml").read_text()
    return {name: row["type"] for name, row in yaml.safe_load(text).items()}


def test_the_table_has_the_56_keys_and_each_has_a_case() -> None:
    assert len(launchd_keys()) == 56
    assert set(RIGHT) == set(launchd_keys())
    assert set(WRONG) == set(table_types().values())


@pytest.mark.parametrize("key", sorted(RIGHT))
def test_a_key_of_the_right_type_is_taken_as_its_status_says(key: str) -> None:
    said = [text for text in findings({**JOB, key: RIGHT[key]}) if f": {key}: " in text]
    status = launchd_keys()[key].status
    if status == "removed":
        assert said == [f"error: {key}: launchd does not honour this key any more"]
    elif status in ("discouraged", "deprecated"):
        assert said == [f"warning: {key}: this key is {status}"]
    elif key == "LimitLoadToSessionType":
        assert said == ["warning: LimitLoadToSessionType: means nothing in the system domain"]
    elif key in ("SoftResourceLimits", "HardResourceLimits"):
        other = "HardResourceLimits" if key.startswith("Soft") else "SoftResourceLimits"
        assert said == []
        assert any(other in text for text in errors({**JOB, key: RIGHT[key]}))
    else:
        assert said == []


@pytest.mark.parametrize("key", sorted(RIGHT))
def test_a_key_of_the_wrong_type_is_an_error(key: str) -> None:
    wrong = WRONG[table_types()[key]]
    said = errors({**JOB, key: wrong})
    assert any(text.startswith(f"error: {key}") and "expected" in text for text in said), said


@pytest.mark.parametrize("key", sorted(RIGHT))
def test_a_misspelt_key_is_an_error_that_names_the_nearest(key: str) -> None:
    misspelt = key[:-1] + ("x" if key[-1] != "x" else "y")
    text = plistlib.dumps({**JOB, misspelt: RIGHT[key]}).decode()
    (found,) = [one for one in check_plist(text, label=LABEL) if misspelt in one.message]
    assert found.level == "error"
    assert found.hint.startswith("did you mean ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ProgramArguments": ["python3", "-m", "x"]}, "'python3' is not absolute"),
        ({"ProgramArguments": ["/bin/x", "~/models"]}, "launchd does not expand '~/models'"),
        ({"ProgramArguments": []}, "a job needs a program"),
        ({"ProgramArguments": ["/bin/x", 8800]}, "expected array of string"),
        ({"Program": "~/bin/x"}, "is not absolute"),
        ({"StandardOutPath": "log/x"}, "'log/x' is not absolute"),
        ({"ThrottleInterval": 0}, "launchd ignores 0"),
        ({"ExitTimeOut": 0}, "0 means for ever"),
        ({"EnvironmentVariables": {"PORT": 8800}}, "expected dict of string"),
        ({"EnvironmentVariables": {"HF_HOME": "~/hub"}}, "launchd does not expand"),
        ({"EnvironmentVariables": {"OPENROUTER_API_KEY": "sk-1"}}, "a secret in a plist"),
        ({"Umask": "077"}, "write an integer: 63 is 077"),
        ({"SoftResourceLimits": {"NumberOfFiles": 9}}, "both the soft and the hard limit"),
        (
            {"SoftResourceLimits": {"NumberOfFiles": 9}, "HardResourceLimits": {"NumberOfFiles": 8}},
            "exceeds the hard limit",
        ),
        ({"SoftResourceLimits": {"OpenFiles": 9}}, "SoftResourceLimits.OpenFiles: launchd knows no such key"),
        ({"KeepAlive": {"Crashed": True}}, "does not bring it back after SIGKILL"),
        ({"KeepAlive": {"Crashed": False}}, "Crashed alone"),
        ({"KeepAlive": {"NetworkState": True}}, "KeepAlive.NetworkState: launchd does not honour this key any more"),
        ({"KeepAlive": {"SuccesfulExit": False}}, "did you mean SuccessfulExit"),
        ({"KeepAlive": {}}, "keeps nothing alive"),
        ({"KeepAlive": True, "LaunchOnlyOnce": True}, "contradicts KeepAlive"),
        ({"StartCalendarInterval": {"Hour": 24}}, "24 is outside 0 to 23"),
        ({"StartCalendarInterval": {"Hours": 3}}, "StartCalendarInterval.Hours"),
        ({"Nice": 21}, "21 is outside -20 to 20"),
        ({"ProcessType": "Fast"}, "'Fast' is none of Background, Standard, Adaptive, Interactive"),
        ({"Label": "org.other"}, "'org.other' is not the name of its file"),
        ({"MachServices": {"org.x": {"ResetOnClose": True}}}, "did you mean ResetAtClose"),
        ({"Sockets": {"http": {"Port": 80}}}, "Sockets.http.Port"),
    ],
)
def test_what_launchd_would_misread_is_an_error(change: dict[str, Any], said: str) -> None:
    text = plistlib.dumps({**JOB, **change}).decode()
    told = [f"{one.message} {one.hint}" for one in check_plist(text, label=LABEL) if one.level == "error"]
    assert any(said in one for one in told), told


def test_a_path_to_a_secret_is_no_secret() -> None:
    assert (
        errors({**JOB, "EnvironmentVariables": {"API_KEY": "/opt/fleet/etc/key", "TOKENIZERS_PARALLELISM": "1"}}) == []
    )


@pytest.mark.parametrize("service", ["gateway", "sidecar.chat"])
def test_what_answers_requests_must_be_interactive_and_say_how_long_a_stop_may_take(service: str) -> None:
    label = f"org.fleet-macs.{service}"
    said = errors({**JOB, "Label": label}, label=label)
    assert any("ProcessType" in text for text in said)
    assert any("ExitTimeOut" in text for text in said)
    assert errors({**JOB, "Label": label, "ProcessType": "Interactive", "ExitTimeOut": 20}, label=label) == []


@pytest.mark.parametrize(
    ("domain", "change", "said"),
    [
        ("gui/501", {"UserName": "fleet"}, "launchd ignores it in gui/501"),
        ("user/501", {"GroupName": "staff", "LimitLoadToSessionType": ["Background"]}, "GroupName: launchd ignores it"),
        ("user/501", {}, "only jobs of the Background session (bootstrap fails with 134)"),
        ("user/501", {"LimitLoadToSessionType": "Aqua"}, "add Background"),
        ("gui/501", {"LimitLoadToSessionType": ["Background"]}, "is an Aqua session"),
    ],
)
def test_what_cannot_work_in_a_domain_is_refused_with_its_reason(
    domain: str, change: dict[str, Any], said: str
) -> None:
    text = plistlib.dumps({**JOB, **change}).decode()
    told = [f"{one.message} {one.hint}" for one in check_plist(text, label=LABEL, domain=domain)]
    assert any(said in one for one in told), told


def test_the_right_session_is_taken_in_each_domain() -> None:
    assert errors({**JOB, "LimitLoadToSessionType": ["Background"]}, domain="user/501") == []
    assert errors({**JOB, "LimitLoadToSessionType": ["Aqua"]}, domain="gui/501") == []
    assert errors(JOB, domain="gui/501") == []


@pytest.mark.parametrize(
    "text", ["", "plist", "<plist>", "<plist><dict><key>a</key></plist>", "<plist><array/></plist>"]
)
def test_a_text_that_is_no_job_is_one_error_without_a_traceback(text: str) -> None:
    (found,) = check_plist(text, label=LABEL)
    assert found.level == "error"


def test_an_error_names_the_template_and_the_rendered_line() -> None:
    text = plistlib.dumps({**JOB, "KeepAliv": True}).decode()
    with pytest.raises(PlistError) as caught:
        require_plist(text, label=LABEL, domain="system", template="launchd/agent.plist.j2")
    line = next(n for n, shown in enumerate(text.splitlines(), 1) if "KeepAliv" in shown)
    assert f"launchd/agent.plist.j2 (rendered, line {line}): KeepAliv: " in caught.value.text
    assert "did you mean KeepAlive" in caught.value.text
