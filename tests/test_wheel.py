"""The wheel: the same bytes from the same checkout, whoever builds it, where and when."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from benchmarks import wheel
from edge_agent.install_release import TREE

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tree(tmp_path):
    """A checkout of little more than what a wheel needs."""
    made = tmp_path / "tree"
    for name in TREE:
        source = ROOT / name
        if source.is_file():
            made.mkdir(exist_ok=True)
            shutil.copy(source, made / name)
        else:
            (made / name).mkdir(parents=True)
    for package in ("edge_agent", "cloud_sync", "models", "calibration"):
        (made / package / "__init__.py").write_text('"""One of four."""\n')
    (made / "edge_agent/alarms.toml").write_text("x = 1\n")
    return made


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_checkout_gives_the_same_bytes_whoever_builds_and_when(tree, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = wheel.build(tree, tmp_path / "first")
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
    (tree / "edge_agent/alarms.toml").chmod(0o600)
    before = os.umask(0o077)
    second = wheel.build(tree, tmp_path / "second", zone="Asia/Kathmandu")
    os.umask(before)
    assert sha256(first) == sha256(second)
    assert "edge_agent/alarms.toml" in zipfile.ZipFile(first).namelist()


def test_whatever_lies_in_a_package_is_in_the_wheel(tmp_path):
    """A data file, or a folder of migrations, that setup.cfg does not name would be missing without a word."""
    held = set(zipfile.ZipFile(wheel.build(ROOT, tmp_path)).namelist())
    for package in ("edge_agent", "cloud_sync", "models", "calibration"):
        there = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*") if path.is_file()}
        assert {name for name in there if "__pycache__" not in name} - held == set()


def test_check_fails_where_two_builds_differ(monkeypatch, tmp_path, capsys):
    def unsteady(_tree, out, zone):
        path = out / "x.whl"
        path.write_text(zone)
        return path

    monkeypatch.setattr(wheel, "build", unsteady)
    assert wheel.main([]) == 1
    assert "two builds of x.whl differ" in capsys.readouterr().err
    monkeypatch.setattr(wheel, "build", lambda tree, out, _zone: unsteady(tree, out, "UTC"))
    assert wheel.main(["--out", str(tmp_path / "kept")]) == 0
    assert (tmp_path / "kept/x.whl").read_text() == "UTC"


def test_a_checkout_without_git_has_a_fixed_time(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert wheel.epoch(tmp_path) == wheel.FIXED_S
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert wheel.epoch(ROOT) == 5
