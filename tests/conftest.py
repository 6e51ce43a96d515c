"""What holds for every test: none is left out silently, and none depends on the caller's environment."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

#: Set where everything that tests need is there, so that a test that does not run is a fault.
NO_SKIP = bool(os.environ.get("CHATAPP_TEST_NO_SKIP"))

# A server under test, in this process or in a child, takes no settings from whoever runs the tests.
for _name in list(os.environ):
    if _name == "PORT" or (_name.startswith("CHATAPP_") and not _name.startswith("CHATAPP_TEST_")):
        del os.environ[_name]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped, or that fails as expected, where that is not allowed."""
    report = yield
    if NO_SKIP and report.skipped:
        _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that is skipped as a whole, where that is not allowed."""
    report = yield
    if NO_SKIP and report.skipped:
        _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if hasattr(report, "wasxfail"):
        reason = report.wasxfail
        del report.wasxfail
    else:
        _path, _line, skipped = report.longrepr
        reason = skipped.removeprefix("Skipped: ")
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} must not be left out here: {reason}"
