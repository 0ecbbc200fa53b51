import json
import subprocess
import sys

import pytest

from benchmarks.drill_all import FRONT_DOOR


def drilled(*words):
    return subprocess.run(
        [sys.executable, str(FRONT_DOOR), "drill", "all", *words], capture_output=True, text=True, timeout=300
    )


@pytest.mark.full
def test_each_chosen_drill_says_its_ledger_on_a_line_and_whether_it_was_good():
    done = drilled("--only", "restore", "--json", "--seed", "4")
    (said,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, said["drill"], said["good"], said["lost"], said["seed"]) == (0, "restore", True, 0, 4)


def test_a_drill_that_does_not_exist_is_named_at_once():
    done = drilled("--only", "restore,rain")
    assert done.returncode == 2 and "rain" in done.stderr and done.stdout == ""
