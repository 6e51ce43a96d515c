"""The skip policy of tests/conftest.py, on a small suite of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

#: Ways not to run a test, each with its reason.
LEFT_OUT = {
    "test_skip.py": ("def test_it(): pytest.skip('no browser')", "no browser"),
    "test_mark.py": ("@pytest.mark.skip(reason='no nginx')\ndef test_it(): ...", "no nginx"),
    "test_fixture.py": ("@pytest.fixture\ndef bus(): pytest.skip('no bus')\ndef test_it(bus): ...", "no bus"),
    "test_xfail.py": ("@pytest.mark.xfail(reason='a fault')\ndef test_it(): assert False", "a fault"),
    "test_xfail_call.py": ("def test_it(): pytest.xfail('not yet')", "not yet"),
}
#: The same for all tests of a module.
MODULE_LEFT_OUT = {
    "test_module.py": ("pytest.importorskip('no_such_thing')\ndef test_it(): ...", "no_such_thing")
}


def run_pytest(
    folder: Path, sources: dict[str, str], *options: str, no_skip: bool, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest on files with these contents, below our conftest.py and in no environment of ours."""
    shutil.copy(CONFTEST, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, source in sources.items():
        (folder / name).write_text(f"import os\nimport pytest\n{source}\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CHATAPP"))}
    if no_skip:
        env["CHATAPP_TEST_NO_SKIP"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(
        command, env=env | variables, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["one process", "a worker"])
@pytest.mark.parametrize("ways", [LEFT_OUT, MODULE_LEFT_OUT], ids=["tests", "a module"])
def test_leaving_a_test_out_fails_the_run_and_names_the_reason(
    tmp_path: Path, ways: dict[str, tuple[str, str]], options: list[str]
) -> None:
    run = run_pytest(tmp_path, {name: source for name, (source, _) in ways.items()}, *options, no_skip=True)
    assert run.returncode != 0
    told = [line for line in run.stdout.splitlines() if "must not be left out here" in line]
    for name, (_, reason) in ways.items():
        assert any(name in line and reason in line for line in told), run.stdout
    assert not re.search(r"\d (skipped|xfailed|passed)", run.stdout)


def test_without_the_policy_leaving_a_test_out_is_allowed(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, {name: source for name, (source, _) in LEFT_OUT.items()}, no_skip=False)
    assert run.returncode == 0, run.stdout
    assert "3 skipped, 2 xfailed" in run.stdout


def test_a_test_that_runs_passes_and_the_callers_settings_do_not_reach_it(tmp_path: Path) -> None:
    source = "def test_it(): assert not {'PORT', 'CHATAPP_STORAGE_URL'} & set(os.environ)"
    run = run_pytest(tmp_path, {"test_it.py": source}, no_skip=True, PORT="9", CHATAPP_STORAGE_URL="none")
    assert run.returncode == 0, run.stdout
