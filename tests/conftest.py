"""What all tests share: how goldens are written anew, and that nothing is skipped in silence under CI."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing else. CI tries the same examples every time.
settings.register_profile(
    "fleet", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("FLEET_CI"))
)
settings.load_profile("fleet")

MAC_SUITE = "tests/mac"
LONG_STORIES = ("tests/integration", "tests/clients", "tests/control/actions/test_doctor_on")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-goldens` writes every golden anew; the reviewer reads the difference."""
    parser.addoption("--update-goldens", action="store_true", help="write the goldens anew")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over several processes the tests of a file stay together: what they share is brought up once.

    Stories over whole fleets go first: none of them is left to be waited for at the end. `long` ones have a target of
    their own, `make show-...`.
    """
    if not os.environ.get("FLEET_SHOW"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
    if not config.getoption("loadgroup", False):  # so a worker of xdist is told; to it `dist` says "no"
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_STORIES))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under FLEET_CI a test that is skipped because a real part is missing has failed; only `mac` may be skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("mac"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips itself."""
    report = yield
    if report.skipped and not collector.nodeid.startswith(MAC_SUITE):
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not os.environ.get("FLEET_CI"):
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"skipped under FLEET_CI, where every real part must be there: {why.removeprefix('Skipped: ')}"
