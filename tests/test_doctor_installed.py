"""What the doctor says of an installation: of a well one nothing bad, and of each fault what mends it."""

import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from machine import make_root, make_tree

from cloud_sync import provision
from cloud_sync.provision import Desk
from edge_agent import certificates, doctor_installed, install, install_record
from edge_agent.config import DeviceConfig, PanelConfig
from edge_agent.install_host import Host
from edge_agent.install_parts import EDGE

NOW = datetime.now(UTC)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users and owners are root's matter")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    root, before = make_root(folder / "root"), (install.TREE, os.environ["PATH"])
    install.TREE, os.environ["PATH"] = make_tree(folder / "tree"), f"{before[1]}:/usr/sbin:/sbin"
    install.install(["edge", "--root", str(root)])
    install.TREE, os.environ["PATH"] = before
    (root / "opt/tankwatch" / os.readlink(root / "opt/tankwatch/current") / ".venv").mkdir()
    return root


@pytest.fixture
def host(installed, tmp_path):
    subprocess.run(["cp", "-a", installed, tmp_path / "root"], check=True)
    return Host(tmp_path / "root", lambda _words: None)


def faults(host):
    return {one.what: one for one in doctor_installed.findings(host) if one.status == "fault"}


def test_well_installation_has_no_fault(host):
    found = {one.what: one.status for one in doctor_installed.findings(host)}
    # systemd does not run in another root, which is said.
    assert found == {"release": "ok", "user": "ok", "rights": "ok", "units": "warning", "watchdog": "ok"}


def test_machine_without_an_installation_is_not_spoken_of(tmp_path):
    assert list(doctor_installed.findings(Host(tmp_path, print))) == []


def spoil_release(host):
    host.path("/opt/tankwatch/current").unlink()


def spoil_packages(host):
    shutil.rmtree(host.path("/opt/tankwatch/current").resolve() / ".venv")


def spoil_user(host):
    host.path("/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")


def spoil_rights(host):
    host.path("/var/lib/tankwatch").chmod(0o777)


def spoil_units(host):
    host.path("/etc/systemd/system/tankwatch-uplink.service").unlink()


def spoil_record(host):
    host.path("/opt/tankwatch/installed.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "what", "cure"),
    [
        (spoil_release, "release", "install"),
        (spoil_packages, "release", "prepare edge"),
        (spoil_user, "user", "install edge"),
        (spoil_rights, "rights", "install edge"),
        (spoil_units, "units", "install edge"),
        (spoil_record, "install", "delete it"),
    ],
)
def test_each_fault_has_its_cure(host, spoil, what, cure):
    spoil(host)
    found = faults(host)
    assert what in found and cure in found[what].words + found[what].cure


def test_config_that_everybody_may_read_is_a_warning(host):
    host.path("/etc/tankwatch/device.toml").chmod(0o644)
    assert doctor_installed.rights(host, EDGE).status == "warning"


def test_upgrade_that_was_cut_off_is_a_warning(host):
    told = install_record.read(host)
    install_record.write(host, told.replace(trial=install_record.Trial("a", "b", None, ("x.service",))))
    assert install_record.read(host).trial.ill == ("x.service",)
    found = doctor_installed.release(host, install_record.read(host))
    assert found.status == "warning" and "an upgrade to a was cut off" in found.words


def test_certificates_and_the_list_of_revoked_ones_are_looked_at(tmp_path):
    desk = Desk(tmp_path / "desk", tmp_path / "desk/offline/ca.key")
    provision.begin(desk, "plant-1", ("broker.plant",), NOW)
    provision.renew_own(desk, NOW)
    provision.write_broker_files(desk, NOW)

    def stand(now):
        return {one.what: one.status for one in doctor_installed.provisioned(desk.folder, now)}

    assert stand(NOW) == {"ca": "ok", "broker-cert": "ok", "cloud-cert": "ok", "crl": "ok", "ca-key": "warning"}
    assert stand(NOW + timedelta(days=715))["broker-cert"] == "warning"
    late = stand(NOW + timedelta(days=3660))
    assert (late["ca"], late["crl"]) == ("fault", "fault")
    said = subprocess.run(
        ["openssl", "crl", "-in", desk.folder / "broker/crl.pem", "-noout", "-nextupdate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = datetime.strptime(said.strip(), "nextUpdate=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert certificates.expires_at((desk.folder / "broker/crl.pem").read_text(), "crl.pem") == expected


def test_screen_that_answers_is_told_from_one_that_does_not(tmp_path):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        device = device_of(tmp_path, port=server.server_port)
        assert doctor_installed.panel(device).status == "ok"
    assert doctor_installed.panel(device).status == "warning"


def test_pin_that_is_not_set_is_a_warning(tmp_path):
    device = device_of(tmp_path)
    assert doctor_installed.pin(device).status == "warning"
    (tmp_path / "panel-pin").touch()
    assert doctor_installed.pin(device).status == "ok"


def test_time_zone_that_is_none_is_a_fault(tmp_path):
    assert doctor_installed.time_zone(device_of(tmp_path, timezone="Europe/Berlin")).status == "ok"
    assert doctor_installed.time_zone(device_of(tmp_path, timezone="Europe/Atlantis")).status == "fault"
    assert doctor_installed.time_zone(device_of(tmp_path)).status == "ok"


def device_of(folder, **panel):
    return DeviceConfig(site="p", station="s", camera="c", data_dir=str(folder), panel=PanelConfig(**panel))
