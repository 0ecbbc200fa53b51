"""What the doctor says of a well device, and of each thing that can be wrong with it."""

import json
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from device_files import ALARM, a_state, write

from cloud_sync.broker import EmbeddedBroker
from edge_agent import certificates, config, doctor, station
from edge_agent.config import BrokerConfig, DeviceConfig
from edge_agent.errors import ConfigError
from edge_agent.messages import InputMetrics
from edge_agent.records import CORNERS

SQUARE = ((0.0, 0.0), (64.0, 0.0), (64.0, 48.0), (0.0, 48.0))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64), 100 + number, np.uint8))
    return folder


def device_file(folder, pictures, **broker):
    profile = station.StationProfile(
        station="TANK1",
        frame_size_px=(64, 48),
        tank_px=SQUARE,
        view_size_px=(64, 48),
        px_per_mm=None,
        markers=tuple(station.MarkerReference(corner, SQUARE) for corner in CORNERS),
    )
    (folder / "station.toml").write_bytes(station.dump(profile))
    device = DeviceConfig(
        site="plant-1",
        station="station.toml",
        camera=str(pictures),
        data_dir=str(folder / "data"),
        keep_free_mb=0,
        broker=BrokerConfig(**broker),
    )
    (folder / "device.toml").write_bytes(config.dump(device))
    return folder / "device.toml"


def test_well_device_ends_with_0_and_one_json_object_a_finding(tmp_path, pictures, capsys):
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        ended = doctor.doctor(["--config", str(device_file(tmp_path, pictures, port=broker.port)), "--json"])
    findings = {finding["what"]: finding for finding in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {what: finding for what, finding in findings.items() if finding["status"] == "fault"} == {}
    assert ended == 0
    assert {"python", "onnxruntime", "zbar", "clock", "disk", "camera", "station", "broker"} <= findings.keys()
    assert "64x48" in findings["camera"]["words"]


def test_each_fault_is_a_line_with_its_cure_and_the_end_is_1(tmp_path, pictures, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        path = device_file(tmp_path, tmp_path / "no such camera", port=unused.getsockname()[1])
        assert doctor.doctor(["--config", str(path)]) == 1
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["camera"].startswith("fault") and "does not exist" in lines["camera"]
    assert lines["broker"].startswith("fault") and "refused" in lines["broker"]


def test_wrong_password_is_told_from_an_absent_broker(tmp_path, monkeypatch):
    monkeypatch.setenv("TANK_PASSWORD", "wrong")
    with EmbeddedBroker(0, tmp_path, {"edge": "right"}) as broker:
        wanted = BrokerConfig(port=broker.port, username="edge", password_env="TANK_PASSWORD")
        finding = doctor.broker(DeviceConfig(site="plant-1", station="s", camera="c", broker=wanted))
    assert finding.status == "fault" and "refuses" in finding.words


def test_passwords_that_systemd_gives_the_services_are_at_hand(tmp_path, pictures, monkeypatch):
    monkeypatch.delenv("TEST_UPLINK_PASSWORD", raising=False)
    with EmbeddedBroker(0, tmp_path / "broker", {"tank1": "right"}) as broker:
        account = {"username": "tank1", "password_env": "TEST_UPLINK_PASSWORD"}
        path = device_file(tmp_path, pictures, port=broker.port, **account)
        (tmp_path / "uplink.env").write_text("TEST_UPLINK_PASSWORD=right\n")
        found = {finding.what: finding for finding in doctor.examine(path, None)}
    assert found["broker"].status == "ok", found["broker"]


def test_unusable_config_is_a_finding(tmp_path, capsys):
    (tmp_path / "device.toml").write_text('site = "plant-1"\nstation = "s"\ncamera = "c"\ncolour = 1\n')
    assert doctor.doctor(["--config", str(tmp_path / "device.toml")]) == 1
    assert "colour" in capsys.readouterr().out


def test_clock_before_the_software_is_a_fault():
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert doctor.clock(now, now + timedelta(days=1)).status == "fault"
    assert doctor.clock(now, now - timedelta(days=1)).status in ("ok", "warning")


def test_disk_with_less_room_than_wanted_is_a_warning(tmp_path):
    assert doctor.disk(tmp_path / "not" / "yet", 0).status == "ok"
    assert doctor.disk(tmp_path, 2**40).status == "warning"


def test_simulated_camera_is_left_alone():
    assert doctor.camera("twin:").status == "ok"


def as_inspected(tmp_path, monkeypatch, *said):
    """A camera that the running inspection holds: nobody else opens it."""

    def opened(*_about, **_more):
        raise AssertionError("the camera was opened")

    monkeypatch.setattr(doctor, "open_camera", opened)
    device = DeviceConfig(site="plant-1", station="s", camera="rtsp://erna:secret@tank/1", data_dir=str(tmp_path))
    write(device, *said)
    return doctor.held_camera(device, device.camera)


def test_a_camera_that_the_inspection_holds_is_not_opened_a_second_time(tmp_path, monkeypatch):
    found = as_inspected(tmp_path, monkeypatch, a_state())
    assert (found.status, found.words) == (
        "ok",
        "rtsp://tank/1 gives pictures to the inspection, which holds it, 15 pictures a second",
    )


def test_what_is_wrong_with_a_held_camera_is_what_the_inspection_says(tmp_path, monkeypatch):
    alarm = msgspec.structs.replace(ALARM, id="camera", text="no picture for 1.4 s: check its cable")
    lost = InputMetrics(camera="lost", camera_fault="unplugged")
    found = as_inspected(tmp_path, monkeypatch, a_state(input=lost, alarms=(alarm,)))
    assert found.status == "fault" and "no picture for 1.4 s: check its cable" in found.words
    noisy = InputMetrics(camera="ok", camera_fault="noise")
    assert as_inspected(tmp_path, monkeypatch, a_state(input=noisy, alarms=())).status == "fault"


def test_a_camera_that_nobody_holds_is_looked_at_by_the_doctor_itself(tmp_path, monkeypatch):
    assert as_inspected(tmp_path, monkeypatch) is None
    assert as_inspected(tmp_path, monkeypatch, a_state(age_s=60)) is None


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """A self-signed certificate good for ten days."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is absent")
    path = tmp_path_factory.mktemp("tls") / "device.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "10", "-subj", "/CN=TANK1", "-keyout", path.with_name("key.pem"), "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_expiry_is_what_openssl_says(issued):
    said = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", issued], capture_output=True, text=True)
    expected = datetime.strptime(said.stdout.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert certificates.expires_at(issued.read_text(), "device.pem") == expected


def test_certificate_near_its_end_is_a_warning_and_past_it_a_fault(issued):
    now = datetime.now(UTC)
    assert certificates.finding("certificate", issued, now, "").status == "warning"
    assert certificates.finding("certificate", issued, now - timedelta(days=60), "").status == "ok"
    assert certificates.finding("certificate", issued, now + timedelta(days=11), "").status == "fault"


def test_damaged_certificate_is_a_clear_line(issued):
    lines = issued.read_text().splitlines()
    for text in ("", "no certificate", "\n".join([*lines[:2], *lines[-1:]])):
        with pytest.raises(ConfigError, match=r"device\.pem"):
            certificates.expires_at(text, "device.pem")


def test_key_that_others_may_read_is_a_warning(issued):
    key = Path(issued.with_name("key.pem"))
    key.chmod(0o644)
    device = DeviceConfig(site="plant-1", station="s", camera="c", broker=BrokerConfig(key=str(key)))
    assert [finding.status for finding in doctor.keys(device)] == ["warning"]
