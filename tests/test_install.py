"""What `install` puts on a machine and `uninstall` takes off it: in another root, and cut off at each step."""

import io
import os
import stat
import subprocess
import sys
import tomllib

import pytest
from machine import make_root, make_tree

from cloud_sync import config as cloud_config
from edge_agent import config as device_config
from edge_agent import install, install_parts, install_record, install_release, install_steps
from edge_agent.errors import ConfigError, StoreError
from edge_agent.install_host import Host, environment_file
from edge_agent.install_parts import CLOUD, EDGE

ROOT = install.TREE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users and owners are root's matter")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    (tmp_path / "root/opt").mkdir(parents=True)
    return make_root(tmp_path / "root")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    made = make_tree(tmp_path / "tree")
    monkeypatch.setattr(install, "TREE", made)
    return made


def put(root, part="edge", *more):
    return install.install([part, "--root", str(root), *more])


def all_of(root):
    """Each path with its rights, owner and content."""
    found = {}
    for path in sorted(root.rglob("*")):
        state = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (stat.filemode(state.st_mode), state.st_uid, state.st_gid, content)
    return found


def test_installed_edge_has_user_folders_config_and_enabled_units(root, tree):
    assert put(root) == 0
    (user,) = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines() if "tankwatch" in line]
    assert (user[0], user[5], user[6]) == ("tankwatch", "/var/lib/tankwatch", "/usr/sbin/nologin")
    data = (root / "var/lib/tankwatch").stat()
    assert (data.st_uid, stat.S_IMODE(data.st_mode)) == (int(user[2]), 0o750)
    config = (root / "etc/tankwatch/device.toml").stat()
    assert (config.st_uid, config.st_gid, stat.S_IMODE(config.st_mode)) == (0, int(user[3]), 0o640)
    wants = {path.name for path in (root / "etc/systemd/system/multi-user.target.wants").iterdir()}
    assert wants == {f"tankwatch-{name}.service" for name in ("inspect", "uplink", "update", "panel")}
    assert (root / "opt/tankwatch" / os.readlink(root / "opt/tankwatch/current") / "tankwatch").exists()
    assert install_record.read(Host(root, print)).parts == {"edge": "edge"}


def test_installed_cloud_starts_its_timers_and_trains_only_where_asked(root, tree):
    assert put(root, "cloud") == 0
    wants = root / "etc/systemd/system/timers.target.wants"
    assert "tankwatch-cloud-backup.timer" in {path.name for path in wants.iterdir()}
    assert not (wants / "tankwatch-cloud-retrain.timer").is_symlink()
    assert not (root / "etc/systemd/system/multi-user.target.wants/tankwatch-cloud-backup.service").is_symlink()
    assert put(root, "cloud", "--train") == 0
    assert (wants / "tankwatch-cloud-retrain.timer").is_symlink()


def test_second_call_changes_nothing_and_never_what_people_wrote(root, tree):
    put(root)
    (root / "etc/tankwatch/device.toml").write_text('site = "mine"\n')
    (root / "etc/systemd/journald.conf.d/50-tankwatch.conf").write_text("[Journal]\n")
    before = all_of(root)
    put(root)
    after = all_of(root)
    assert {path for path in after if before.get(path) != after[path]} <= {"opt/tankwatch/installed.json"}
    assert (root / "etc/tankwatch/device.toml").read_text() == 'site = "mine"\n'


def test_profile_that_lies_in_etc_stays_there(root, tree):
    (root / "etc/tankwatch").mkdir()
    (root / "etc/tankwatch/station.toml").write_text("mine")
    put(root)
    assert (root / "etc/tankwatch/station.toml").read_text() == "mine"


def test_both_parts_share_the_wider_set_and_go_one_by_one(root, tree):
    put(root)
    put(root, "cloud")
    host = Host(root, print)
    assert install_record.read(host).packages == "demo"
    install.uninstall(["edge", "--root", str(root)])
    assert install_release.current(host) is not None
    assert not list((root / "etc/systemd/system").glob("tankwatch-inspect*"))
    assert list((root / "etc/systemd/system").glob("tankwatch-cloud-web*"))
    install.uninstall(["cloud", "--root", str(root)])
    assert not (root / "opt/tankwatch").exists()


def test_uninstalling_keeps_configuration_and_data(root, tree):
    put(root)
    (root / "var/lib/tankwatch/outbox.db").write_text("cases")
    assert install.uninstall(["edge", "--root", str(root)]) == 0
    assert (root / "var/lib/tankwatch/outbox.db").exists() and (root / "etc/tankwatch/device.toml").exists()
    left = list((root / "etc/systemd/system").rglob("tankwatch*"))
    assert left == [] and not (root / "usr/local/bin/tankwatch").is_symlink()


@pytest.mark.parametrize(("word", "kept"), [("purge\n", False), ("yes\n", True), ("", True)])
def test_purge_takes_the_word(root, tree, monkeypatch, tmp_path, word, kept):
    put(root)
    (tmp_path / "word").write_text(word)
    with open(tmp_path / "word") as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        if kept:
            with pytest.raises(ConfigError, match="nothing was done"):
                install.uninstall(["edge", "--root", str(root), "--purge"])
        else:
            install.uninstall(["edge", "--root", str(root), "--purge"])
    assert (root / "var/lib/tankwatch").exists() == (root / "etc/tankwatch").exists() == kept
    assert (root / "etc/systemd/journald.conf.d/50-tankwatch.conf").exists() == kept
    assert (root / "etc/systemd/system/tankwatch-inspect.service").exists() == kept


def test_installation_that_is_cut_off_anywhere_is_finished_by_the_same_call(tmp_path, root, tree, monkeypatch):
    put(root)
    whole = all_of(root)
    carry_out = install_steps.carry_out
    for cut in range(12):
        other = make_root(tmp_path / f"root-{cut}")

        def some(host, steps, cut=cut):
            carry_out(host, list(steps)[:cut])
            raise KeyboardInterrupt

        monkeypatch.setattr(install_steps, "carry_out", some)
        with pytest.raises(KeyboardInterrupt):
            put(other)
        monkeypatch.setattr(install_steps, "carry_out", carry_out)
        put(other)
        assert all_of(other).keys() == whole.keys()


def test_half_a_copy_is_never_taken_for_a_release(root, tree):
    half = root / "opt/tankwatch/releases/.copying-0.1.0-x"
    half.mkdir(parents=True)
    put(root)
    assert not half.exists()
    assert len(install_release.present(Host(root, print))) == 1


def test_release_is_named_by_its_content(tree, tmp_path):
    same = make_tree(tmp_path / "same")
    (same / "edge_agent/__pycache__").mkdir()
    (same / "edge_agent/__pycache__/x.pyc").touch()
    assert install_release.name(same) == install_release.name(tree)
    (same / "tankwatch.py").chmod(0o755)
    assert install_release.name(same) != install_release.name(tree)


def test_linked_checkout_runs_where_it_stands(root, tree):
    put(root, "edge", "--link")
    assert (root / "opt/tankwatch/releases/linked").resolve() == tree
    assert os.readlink(root / "opt/tankwatch/current") == "releases/linked"
    (tree / "docs/new").touch()
    put(root, "edge", "--link")
    assert os.readlink(root / "opt/tankwatch/current") == "releases/linked"


def test_dry_run_says_the_steps_and_does_none(root, tree, capsys):
    before = all_of(root)
    put(root, "edge", "--dry-run")
    assert all_of(root) == before
    assert "/etc/tankwatch/device.toml" in capsys.readouterr().err


def test_disk_that_takes_nothing_is_a_clear_line(root, tree):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", root / "opt"], check=True)
    try:
        with pytest.raises(StoreError, match="No space left.*same command again"):
            put(root)
    finally:
        subprocess.run(["umount", root / "opt"], check=True)
    assert put(root) == 0


def test_only_one_installs_at_a_time(root, tree):
    with install_record.alone(Host(root, print)), pytest.raises(StoreError, match="another installation"):
        put(root)


def test_root_that_is_no_folder_is_a_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        put(tmp_path / "nothing")


def test_units_that_a_release_has_no_more_go(root, tree):
    former = tree / "systemd/tankwatch-former.service"
    former.write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    put(root)
    stale = root / "etc/systemd/system/tankwatch-former.service"
    assert stale.exists()
    former.unlink()
    new = install_release.put(Host(root, print), tree)
    install_steps.write_units(Host(root, print), EDGE, new)
    assert not stale.exists()


def test_units_and_commands_of_the_plants_own_stay_whatever_their_names(root, tree):
    kiosk, command = root / "etc/systemd/system/tankwatch-kiosk.service", root / "usr/local/bin/tankwatch"
    for path in (kiosk, command):
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    put(root)
    install.uninstall(["edge", "--root", str(root)])
    assert kiosk.read_text() == command.read_text() == "mine"


def test_purging_one_part_leaves_the_other_its_configuration_and_its_authority(root, tree, monkeypatch):
    put(root)
    put(root, "cloud")
    key = root / "etc/tankwatch/provision/offline/ca.key"
    key.parent.mkdir(parents=True)
    key.write_text("key")
    monkeypatch.setattr(sys, "stdin", io.StringIO("purge\n"))
    install.uninstall(["edge", "--root", str(root), "--purge"])
    assert not (root / "var/lib/tankwatch").exists() and not (root / "etc/tankwatch/device.toml").exists()
    assert key.exists() and (root / "etc/tankwatch/cloud.toml").exists()


def test_purge_leaves_what_a_part_has_left_that_was_taken_off_before(root, tree, monkeypatch, capsys):
    put(root)
    put(root, "cloud")
    key = root / "etc/tankwatch/provision/offline/ca.key"
    key.parent.mkdir(parents=True)
    key.write_text("key")
    install.uninstall(["cloud", "--root", str(root)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("purge\npurge\n"))
    install.uninstall(["edge", "--root", str(root), "--purge"])
    assert key.exists() and (root / "etc/tankwatch/cloud.toml").exists()
    assert "authority's key" not in capsys.readouterr().err
    install.uninstall(["cloud", "--root", str(root), "--purge"])
    assert "authority's key" in capsys.readouterr().err
    assert not (root / "etc/tankwatch").exists() and not (root / "var/lib/tankwatch-cloud").exists()


def test_configuration_that_was_cut_off_before_its_rights_is_written_again(root, tree, monkeypatch):
    def cut(*_):
        raise OSError("cut off")

    with monkeypatch.context() as broken:
        broken.setattr(Host, "group_file", cut)
        with pytest.raises(StoreError, match="cut off"):
            put(root)
    put(root)
    config = (root / "etc/tankwatch/device.toml").stat()
    assert config.st_gid != 0 and stat.S_IMODE(config.st_mode) == 0o640


def test_purge_deletes_a_link_to_another_disk_and_nothing_behind_it(root, tree, monkeypatch):
    put(root)
    data, disk = root / "var/lib/tankwatch", root / "disk"
    data.rename(disk)
    (disk / "outbox.db").write_text("cases")
    data.symlink_to(disk)
    monkeypatch.setattr(sys, "stdin", io.StringIO("purge\n"))
    install.uninstall(["edge", "--root", str(root), "--purge"])
    assert (disk / "outbox.db").exists() and not data.is_symlink()


def test_cloud_that_trains_goes_on_training_when_it_is_installed_again(root, tree):
    put(root, "cloud", "--train")
    put(root, "cloud")
    assert install_record.read(Host(root, print)).packages == "retrain"


def test_templates_are_configurations_with_known_keys_only():
    """Also the lines that people are to uncomment."""
    for name, load in (("device.toml", device_config.load), ("cloud.toml", cloud_config.load)):
        load(ROOT / "systemd" / name)
        lines = (ROOT / "systemd" / name).read_text().splitlines()
        opened = [line.removeprefix("# ") if is_setting(line) else line for line in lines]
        table = tomllib.loads("\n".join(opened))
        assert table["broker"]["port"] in (8883, 8884)
    device = device_config.load(ROOT / "systemd/device.toml")
    assert (device.data_dir, device.run_dir) == ("/var/lib/tankwatch", "/run/tankwatch")


def is_setting(line):
    words = line.removeprefix("# ").split()
    return line.startswith("# ") and (line.startswith("# [") or words[1:2] == ["="])


def test_every_unit_belongs_to_one_part_and_is_started_by_systemd_or_by_its_timer():
    names = sorted(path.name for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".timer"))
    assert [name for name in names if EDGE.owns(name) == CLOUD.owns(name)] == []
    for part in (EDGE, CLOUD):
        units = [name for name in names if part.owns(name)]
        for unit in part.enabled(units, trains=True):
            assert "[Install]" in (ROOT / "systemd" / unit).read_text(), unit


def test_secrets_are_read_as_systemd_reads_them(tmp_path):
    (tmp_path / "cloud.env").write_text("# a word\nTANK_PASSWORD='a=b'\n\nOTHER=2\n")
    assert environment_file(tmp_path / "cloud.env") == {"TANK_PASSWORD": "a=b", "OTHER": "2"}
    assert environment_file(tmp_path / "none") == {}


def test_installing_needs_nothing_but_python():
    """It is the first command on a bare machine, before any package."""
    own = {"edge_agent"} | set(sys.stdlib_module_names)
    for path in [*(ROOT / "edge_agent").glob("install*.py"), ROOT / "edge_agent/upgrade.py"]:
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] in own, (path.name, line)
    assert install_parts.widest(["edge", "demo"]) == "demo"


def test_units_leave_the_data_folders_as_closed_as_they_were_made():
    """systemd sets the rights at each start: 0755 where nothing else is said, and `doctor` calls that a fault."""
    for path in (ROOT / "systemd").glob("*.service"):
        lines = path.read_text().splitlines()
        part = next(part for part in (EDGE, CLOUD) if part.owns(path.name))
        data = next(one for one in part.folders if one.owner)
        assert f"StateDirectory={data.path.removeprefix('/var/lib/')}" in lines, path.name
        assert f"StateDirectoryMode={data.mode:04o}" in lines, path.name
        assert ("RuntimeDirectory=tankwatch" in lines) == ("RuntimeDirectoryMode=0750" in lines), path.name
