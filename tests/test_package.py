"""The Debian package: the same bytes from the same checkout; installed, started, upgraded and removed in a chroot."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import make_tree

from edge_agent import package
from edge_agent.errors import ConfigError
from edge_agent.install_parts import CLOUD, EDGE

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is absent")


def field(path, name):
    return subprocess.run(["dpkg-deb", "-f", path, name], capture_output=True, text=True, check=True).stdout.strip()


def listed(path):
    done = subprocess.run(["dpkg-deb", "-c", path], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_same_checkout_gives_the_same_bytes_whoever_builds_and_when(tmp_path):
    first = package.build(make_tree(tmp_path / "tree"), EDGE, tmp_path / "first")
    other = make_tree(tmp_path / "later")
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "setup.cfg").chmod(0o640)
    before = os.umask(0o077)
    second = package.build(other, EDGE, tmp_path / "second")
    os.umask(before)
    assert first.read_bytes() == second.read_bytes()
    bills = [path.with_suffix(".cdx.json") for path in (first, second)]
    assert bills[0].read_bytes() == bills[1].read_bytes() and b'"name": "onnxruntime"' in bills[0].read_bytes()
    assert {line[1] for line in listed(first)} == {"root/root"}


def test_package_asks_for_little_and_names_its_one_conffile(tmp_path):
    built = package.build(make_tree(tmp_path / "tree"), EDGE, tmp_path)
    assert field(built, "Depends") == "python3 (>= 3.11), passwd, util-linux"
    assert field(built, "Conflicts") == "tankwatch-cloud"
    out = tmp_path / "control"
    subprocess.run(["dpkg-deb", "-e", built, out], check=True)
    assert (out / "conffiles").read_text() == "/etc/systemd/journald.conf.d/50-tankwatch.conf\n"
    in_etc = [line[5] for line in listed(built) if line[5].startswith("./etc/") and not line[5].endswith("/")]
    assert in_etc == ["./etc/systemd/journald.conf.d/50-tankwatch.conf"]
    for script in ("postinst", "prerm", "postrm"):
        assert os.access(out / script, os.X_OK)
        assert subprocess.run(["sh", "-n", out / script]).returncode == 0


def test_cloud_and_edge_are_packages_of_their_own(tmp_path):
    built = package.build(make_tree(tmp_path / "tree"), CLOUD, tmp_path)
    assert (field(built, "Package"), field(built, "Conflicts")) == ("tankwatch-cloud", "tankwatch")
    assert "install cloud" in package.scripts(CLOUD, wheels=False)["postinst"]


def test_folder_without_wheels_is_a_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="pip download"):
        package.build(make_tree(tmp_path / "tree"), EDGE, tmp_path, tmp_path)


def test_purging_the_package_takes_the_link_that_it_has_made_and_leaves_a_profile_that_lies_there(tmp_path):
    folder = tmp_path / "etc/tankwatch"
    script = package.scripts(EDGE, wheels=False)["postrm"].replace("/etc/tankwatch", str(folder))
    for profile in (False, True):
        folder.mkdir(parents=True)
        (folder / "device.toml").touch()
        (folder / "station.toml").touch() if profile else (folder / "station.toml").symlink_to("/nowhere")
        subprocess.run(["sh", "-c", script, "postrm", "purge"], check=True)
        assert folder.exists() == profile
    assert [path.name for path in folder.iterdir()] == ["station.toml"]


class Chroot:
    """A minimal Debian without a network, entered anew for each command."""

    def __init__(self, root):
        self.root = root

    def run(self, *command, user=None, expect=0):
        as_user = [f"--userspec={user}:{user}"] if user else []
        enter = ["unshare", "-m", "-p", "-f", "-n", f"--mount-proc={self.root}/proc", "chroot", *as_user, self.root]
        path = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        done = subprocess.run([*enter, *command], env=path, capture_output=True, text=True, timeout=500)
        assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def path(self, name):
        return self.root / name.lstrip("/")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Everything of the edge's lock and pip itself, so that the chroot needs no network."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "locks/edge.txt"], check=True)
    subprocess.run([*pip, "pip"], check=True)
    return folder


@pytest.fixture(scope="module")
def chroot(tmp_path_factory):
    root = tmp_path_factory.mktemp("debian") / "root"
    names = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    cache = ["--cache-dir=/var/cache/apt/archives"] if Path("/var/cache/apt/archives").is_dir() else []
    command = ["debootstrap", "--variant=minbase", "--include=python3,systemd", *cache]
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(
        [*command, names["VERSION_CODENAME"], root], env=os.environ | path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return Chroot(root)


@pytest.mark.full
def test_package_is_installed_started_upgraded_and_removed_without_a_network(chroot, wheels, tmp_path):
    old = package.build(ROOT, EDGE, tmp_path / "old", wheels)
    tree = tmp_path / "tree"
    package.releases.copy(ROOT, tree)
    (tree / "docs/newer.md").write_text("newer\n")
    new = package.build(tree, EDGE, tmp_path / "new", wheels)
    for name, built in (("old.deb", old), ("new.deb", new)):
        shutil.copy(built, chroot.path(f"/root/{name}"))

    chroot.run("dpkg", "-i", "/root/old.deb")
    first = os.readlink(chroot.path("/opt/tankwatch/current"))
    wants = chroot.path("/etc/systemd/system/multi-user.target.wants")
    assert (wants / "tankwatch-inspect.service").is_symlink()
    config = chroot.path("/etc/tankwatch/device.toml")
    config.write_text(config.read_text().replace("/dev/video0", "twin:seed=5,live=1"))
    chroot.path("/run/tankwatch").mkdir()
    shutil.chown(chroot.path("/run/tankwatch"), *owner(chroot.path("/var/lib/tankwatch")))
    inspects(chroot)
    found = chroot.run("tankwatch", "doctor", expect=1)
    assert re.search(r"^ok +release ", found, re.M) and re.search(r"^ok +rights ", found, re.M)
    assert re.search(r"^fault +station ", found, re.M) and re.search(r"^warning +pin ", found, re.M)

    said = chroot.run("dpkg", "-i", "/root/new.deb")
    second = os.readlink(chroot.path("/opt/tankwatch/current"))
    assert second != first and f"{Path(first).name} is kept beside it" in said
    assert len(list(chroot.path("/opt/tankwatch/releases").iterdir())) == 2
    assert "twin:" in config.read_text()
    inspects(chroot)

    chroot.run("dpkg", "--remove", "tankwatch")
    assert not chroot.path("/opt/tankwatch").exists() and not chroot.path("/usr/share/tankwatch").exists()
    assert not list(chroot.path("/etc/systemd/system").rglob("tankwatch*"))
    assert config.exists() and chroot.path("/var/lib/tankwatch/outbox.db").exists()
    chroot.run("dpkg", "--purge", "tankwatch")
    assert not config.exists() and chroot.path("/var/lib/tankwatch/outbox.db").exists()


def owner(path):
    state = path.stat()
    return state.st_uid, state.st_gid


def inspects(chroot):
    """The service's command line, as its user, says of itself that it runs; and then ends as it is told."""
    state = chroot.path("/run/tankwatch/state.json")
    state.unlink(missing_ok=True)
    (line,) = [
        line.removeprefix("ExecStart=")
        for line in chroot.path("/etc/systemd/system/tankwatch-inspect.service").read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    # Without --foreground, timeout signals its child and then its whole group: twice is "do not wait for a clean end".
    ended = ("timeout", "--foreground", "-s", "TERM", "--preserve-status", "8")
    said = chroot.run(*ended, *line.split(), user="tankwatch", expect=0)
    assert state.exists(), said
    assert time.time() - state.stat().st_mtime < 60
