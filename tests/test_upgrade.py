"""An upgrade on a machine of its own: beside the old release, watched, taken back, cut off; systemd is stood in for."""

import os
import shutil
import subprocess

import pytest
from in_full import in_full
from machine import Machine, make_tree


def can_enter() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_enter(), reason="a mount namespace is root's matter, and not allowed here")
RELEASES = {
    "old": ("old",),
    "new": ("new",),
    "newest": ("newest",),
    "unfit": ("unfit-check",),
    "broken": ("broken",),
    "silent": ("unfit-alive",),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A machine that runs the old release of the edge; copied for each test."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    for name, marks in RELEASES.items():
        make_tree(machine.trees / name, *marks)
    done = machine.call("old", "install", "edge")
    assert done.returncode == 0, done.stderr
    assert machine.said[-1].startswith("restart --no-block tankwatch-inspect.service")
    return machine


@pytest.fixture
def machine(installed, tmp_path):
    shutil.copytree(installed.root, tmp_path / "root", symlinks=True)
    copy = object.__new__(Machine)
    copy.root, copy.trees = tmp_path / "root", tmp_path / "root/trees"
    (copy.root / "run/said").write_text("")
    return copy


def upgrade(machine, tree, *options):
    return machine.call(tree, "upgrade", "--watch", "0.2", *options)


def release_of(machine):
    """Which of RELEASES is current."""
    marks = {path.name for path in (machine.root / "opt/tankwatch" / machine.current / "docs").iterdir()}
    return next(name for name, has in RELEASES.items() if set(has) == marks)


def test_better_release_takes_over_and_the_last_two_are_kept(machine):
    for name in ("new", "newest"):
        done = upgrade(machine, name)
        assert done.returncode == 0, done.stderr
        assert release_of(machine) == name
    assert len(list((machine.root / "opt/tankwatch/releases").iterdir())) == 2
    assert [line.split()[0] for line in machine.said[-2:]] == ["daemon-reload", "restart"]
    assert upgrade(machine, "newest").returncode == 0
    (machine.root / "run/said").write_text("")
    assert "already" in upgrade(machine, "newest").stderr and machine.said == []


def test_release_that_does_not_fit_never_becomes_current(machine):
    done = upgrade(machine, "unfit")
    assert done.returncode == 1 and "runs on" in done.stderr and "does not fit" in done.stderr
    assert release_of(machine) == "old" and machine.said == []


@pytest.mark.parametrize("name", ["broken", "silent"])
def test_release_that_does_not_stay_up_or_does_no_work_is_taken_back(machine, name):
    done = upgrade(machine, name)
    assert done.returncode == 1 and "runs again" in done.stderr and "Traceback" not in done.stderr
    assert release_of(machine) == "old"
    assert machine.said[-1].startswith("restart --no-block tankwatch-inspect.service")
    assert not (machine.root / "tmp/back").exists()


def test_tables_of_the_cloud_go_back_before_the_old_release_runs_again(machine):
    done = machine.call("old", "install", "cloud")
    assert done.returncode == 0, done.stderr
    (machine.root / "run/said").write_text("")
    done = upgrade(machine, "broken")
    assert done.returncode == 1 and "runs again" in done.stderr, done.stderr
    assert (machine.root / "tmp/back").read_text() == "0008"
    (stopped,) = [line for line in machine.said if line.startswith("stop ")]
    assert "tankwatch-cloud-web.service" in stopped and "tankwatch-inspect.service" in stopped
    assert release_of(machine) == "old"


CUTS = {
    "while it is copied": ("install_release.py", "os.sync()"),
    "before it is tried": ("upgrade.py", "said = ask("),
    "before the switch": ("install_release.py", "if current(host) != release:"),
    "before the restart": ("install_steps.py", 'host.systemctl("restart", "--no-block", *names)'),
    "while it is watched": ("upgrade.py", "until = time.monotonic() + watch_s"),
}
"""Module, and the line before which the power goes."""


def cut_off(path, line):
    before, found, after = path.read_text().partition(line)
    assert found
    indent = before[before.rindex("\n") + 1 :]
    path.write_text(f"{before}import os; os._exit(9)\n{indent}{found}{after}")


SOON = ("before the switch", "while it is watched")
LATER = [in_full(cut) for cut in CUTS if cut not in SOON]


@pytest.mark.parametrize("cut", [*SOON, *LATER])
def test_upgrade_that_is_cut_off_leaves_a_machine_that_runs_and_is_finished_by_the_same_call(machine, cut):
    module, line = CUTS[cut]
    place = f"edge_agent/{module}"
    shutil.copytree(machine.trees / "new", machine.trees / "cut")
    cut_off(machine.trees / "cut" / place, line)
    assert upgrade(machine, "cut").returncode == 9
    switched = cut in ("before the restart", "while it is watched")
    before = (machine.root / "opt/tankwatch" / machine.current).name
    assert switched == (release_of(machine) == "new")
    assert (machine.root / "opt/tankwatch/current/tankwatch").exists()
    if switched:
        # The same call goes on with the trial; here the mended program takes the cut one's place.
        shutil.copy(machine.trees / "new" / place, machine.root / "opt/tankwatch/releases" / before / place)
        done = machine.run("/opt/tankwatch/current/tankwatch", "upgrade", "--watch", "0.2")
    else:
        done = upgrade(machine, "new")
    assert done.returncode == 0, done.stderr
    assert release_of(machine) == "new"
    assert not list((machine.root / "opt/tankwatch/releases").glob(".*"))


def test_release_that_fails_gives_way_to_the_last_one_that_was_known_to_work(machine):
    """The one between them was cut off while it was watched: nobody knows whether it works."""
    shutil.copytree(machine.trees / "new", machine.trees / "cut")
    cut_off(machine.trees / "cut/edge_agent/upgrade.py", "until = time.monotonic() + watch_s")
    assert upgrade(machine, "cut").returncode == 9 and release_of(machine) == "new"
    done = upgrade(machine, "broken")
    assert done.returncode == 1 and "runs again" in done.stderr, done.stderr
    assert release_of(machine) == "old"


def test_return_that_is_cut_off_is_finished_by_the_release_that_runs_again(machine):
    shutil.copytree(machine.trees / "broken", machine.trees / "cut")
    cut_off(machine.trees / "cut/edge_agent/upgrade.py", "record.write(host, installed.replace(trial=None))\n    raise")
    assert upgrade(machine, "cut").returncode == 9 and release_of(machine) == "old"
    (machine.root / "run/said").write_text("")
    done = machine.run("/opt/tankwatch/current/tankwatch", "upgrade")
    assert done.returncode == 0 and "was cut off" in done.stderr, done.stderr
    assert machine.said[-1].startswith("restart --no-block tankwatch-inspect.service")
    assert '"trial": null' in (machine.root / "opt/tankwatch/installed.json").read_text()


def test_disk_that_takes_no_units_on_the_way_there_and_back_leaves_no_service_stopped(machine):
    (machine.root / "etc/systemd/system/tankwatch-inspect.service.tmp").mkdir()
    done = upgrade(machine, "new")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert [line.split()[0] for line in machine.said[-2:]] == ["stop", "start"]


def test_upgrade_before_an_installation_is_a_clear_line(machine):
    done = machine.call("old", "uninstall", "edge")
    assert done.returncode == 0, done.stderr
    done = upgrade(machine, "new")
    assert done.returncode == 1 and "comes first" in done.stderr and "Traceback" not in done.stderr


def test_ordinary_users_are_told_to_use_sudo(machine):
    done = machine.run("setpriv", "--reuid=1", "--", "/trees/new/tankwatch", "upgrade")
    assert done.returncode == 1 and "sudo" in done.stderr
