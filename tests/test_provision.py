"""Certificates and Mosquitto's files as `provision` makes them, at the real broker: who gets in, and who may what."""

import fcntl
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
import tomllib
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from benchmarks import secured
from benchmarks.secured import ANSWER_S, Broker, make_desk
from cloud_sync import authority, broker_rules, issued, mqtt_client, provision
from cloud_sync import config as cloud_config
from cloud_sync.broker import mosquitto
from cloud_sync.ingest import subscriptions
from cloud_sync.provision import Desk
from edge_agent import config as device_config
from edge_agent import doctor_tls
from edge_agent.errors import ConfigError, LinkError, StoreError
from edge_agent.wire import Topics

NOW = datetime.now(UTC)
A, B = Topics("plant-1", "TANK1"), Topics("plant-1", "TANK2")
CONNECT, CONNACK = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x", b"\x20\x02"

pytestmark = pytest.mark.skipif(not mosquitto(), reason="mosquitto is absent")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    made = Broker(make_desk(tmp_path_factory.mktemp("desk"), "TANK1", "TANK2", "GONE", "HELD"))
    made.start()
    yield made
    made.stop()


class Client(secured.Client):
    """What it says and hears is the same word unless told otherwise."""

    def say(self, topic, payload=b"x"):
        super().say((topic, payload))

    def hears(self, topic, payload=b"x"):
        return super().hears(topic, payload)


def folder_of(broker, station):
    return broker.station(station)


def test_station_and_cloud_hear_each_other(broker):
    with (
        Client(broker, broker.desk.folder / "cloud", listen=["tankwatch/v1/#"]) as cloud,
        Client(broker, folder_of(broker, "TANK1"), listen=[A.receipt, A.desired, A.commands]) as station,
    ):
        for topic in (A.status, A.case, A.clip_part("0" * 64, 0), A.metrics, A.alarm("x"), A.disposition, A.reply("1")):
            station.say(topic)
            assert cloud.hears(topic)
        for topic in (A.receipt, A.desired, A.command("1")):
            cloud.say(topic)
            assert station.hears(topic)
        cloud.say(broker_rules.AUDIT_HEAD)
        assert cloud.hears(broker_rules.AUDIT_HEAD)


def test_station_cannot_speak_as_another_or_as_the_cloud(broker):
    with (
        Client(broker, broker.desk.folder / "cloud", listen=["tankwatch/v1/#"]) as cloud,
        Client(broker, folder_of(broker, "TANK1")) as station,
    ):
        for topic in (B.case, B.status, B.receipt, A.receipt, A.desired, A.command("9"), broker_rules.AUDIT_HEAD):
            station.say(topic, b"forged")
        station.say(A.case, b"last")
        assert cloud.hears(A.case, b"last")
        assert [topic for topic, payload in cloud.heard if payload == b"forged"] == []


def test_station_cannot_listen_to_another(broker):
    with (
        Client(broker, folder_of(broker, "TANK1"), listen=["#", B.receipt, B.desired, A.receipt]) as station,
        Client(broker, folder_of(broker, "TANK2")) as other,
        Client(broker, broker.desk.folder / "cloud") as cloud,
    ):
        other.say(B.case, b"private")
        cloud.say(B.receipt, b"private")
        cloud.say(B.desired, b"private")
        cloud.say(A.receipt, b"last")
        assert station.hears(A.receipt, b"last")
        assert [one for one in station.heard if one[1] == b"private"] == []


def test_tls_older_than_1_2_is_refused(broker):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(broker.desk.folder / "ca.crt")
    context.load_cert_chain(folder_of(broker, "TANK1") / "device.crt", folder_of(broker, "TANK1") / "device.key")
    assert gets_in(broker, context)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not gets_in(broker, context)


def test_station_that_takes_the_client_id_of_another_does_not_throw_it_off(broker):
    with Client(broker, folder_of(broker, "TANK2"), client_id="plant-1-TANK2", listen=[B.receipt]) as owner:
        with Client(broker, folder_of(broker, "TANK1"), client_id="plant-1-TANK2"):
            assert owner.client.is_connected()
        with Client(broker, broker.desk.folder / "cloud") as cloud:
            cloud.say(B.receipt, b"still there")
        assert owner.hears(B.receipt, b"still there")


def test_processes_of_the_cloud_share_its_certificate_and_a_group(broker):
    folder = broker.desk.folder / "cloud"
    listen = ["$share/ingest/tankwatch/v1/+/+/case"]
    with (
        Client(broker, folder, client_id="tankwatch-ingest", listen=listen) as ingest,
        Client(broker, folder, client_id="tankwatch-order") as order,
        Client(broker, folder_of(broker, "TANK1")) as station,
    ):
        station.say(A.case, b"shared")
        assert ingest.hears(A.case, b"shared") and order.client.is_connected()


def test_what_waits_for_an_ingest_that_is_away_never_fills_the_brokers_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(broker_rules, "QUEUED_BYTES", 1_000_000)
    broker = Broker(make_desk(tmp_path / "desk", "TANK1"))
    broker.start()
    folder, topic, part = broker.cloud, A.clip_part("a" * 64, 0), b"x" * 250_000
    stays = {"client_id": "tankwatch-ingest", "clean_session": False}
    try:
        with Client(broker, folder, listen=[topic, A.case], **stays):
            pass
        with Client(broker, folder_of(broker, "TANK1")) as station:
            for _ in range(20):
                station.say(topic, part)
            with Client(broker, folder, listen=[topic, A.case], **stays) as ingest:
                assert ingest.hears(topic, part)
                station.say(A.case, b"later")
                assert ingest.hears(A.case, b"later")
        assert 1 <= [heard for heard, _ in ingest.heard].count(topic) <= 6
    finally:
        broker.stop()


def test_station_has_no_place_at_the_clouds_port_and_cannot_throw_ingest_off(broker):
    folder, listen = broker.desk.folder / "cloud", ["tankwatch/v1/#"]
    with Client(broker, folder, client_id="tankwatch-ingest", listen=listen) as ingest:
        with pytest.raises(LinkError, match="not let in"):
            Client(broker, folder_of(broker, "TANK1"), client_id="tankwatch-ingest", port=broker.ports[1])
        with Client(broker, folder_of(broker, "TANK1")) as station:
            station.say(A.case, b"still heard")
        assert ingest.hears(A.case, b"still heard")


def test_station_that_knows_the_name_of_the_shared_group_is_dealt_no_cases(broker):
    """The group that cloud.toml names is not the one that ingest joins."""
    access = cloud_config.BrokerConfig(share="ingest", key=str(broker.cloud / "cloud.key"))
    shared = next(topic for topic in subscriptions(access) if topic.endswith("/case"))
    with (
        Client(broker, broker.cloud, listen=[shared]) as ingest,
        Client(broker, folder_of(broker, "TANK1"), listen=["$share/ingest/tankwatch/v1/+/+/case"]),
        Client(broker, folder_of(broker, "TANK2")) as station,
    ):
        for number in range(10):
            station.say(B.case, b"%d" % number)
        assert ingest.hears(B.case, b"9")
        assert len(ingest.heard) == 10


def test_client_without_a_certificate_is_refused(broker):
    with socket.create_connection(("127.0.0.1", broker.ports[0]), 2) as raw, pytest.raises(ConnectionError):
        raw.sendall(CONNECT)
        raw.recv(4)
    context = ssl.create_default_context(cafile=broker.desk.folder / "ca.crt")
    assert not gets_in(broker, context)


def test_certificate_of_another_authority_or_past_its_end_is_refused(broker, tmp_path):
    other = make_desk(tmp_path / "other", "TANK1")
    assert not lets_in(broker, other.folder / "stations" / "plant-1-TANK1")
    expired = tmp_path / "expired"
    shutil.copytree(folder_of(broker, "TANK1"), expired)
    certificate, key, _ = broker.desk.open().issue("plant-1-TANK1", NOW - timedelta(days=3), days=1)
    (expired / "device.crt").write_bytes(certificate)
    (expired / "device.key").write_bytes(key)
    assert not lets_in(broker, expired)
    assert lets_in(broker, folder_of(broker, "TANK1"))


def test_renewed_certificate_works_while_the_old_one_holds(broker, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder_of(broker, "HELD"), old)
    provision.give(broker.desk, "HELD", NOW)
    assert (old / "device.crt").read_bytes() != (folder_of(broker, "HELD") / "device.crt").read_bytes()
    assert lets_in(broker, old) and lets_in(broker, folder_of(broker, "HELD"))


def test_stolen_device_writes_nothing_after_a_reload_and_does_not_come_in_again(broker, tmp_path):
    stolen, topics = tmp_path / "stolen", Topics("plant-1", "GONE")
    shutil.copytree(folder_of(broker, "GONE"), stolen)
    with (
        Client(broker, stolen) as thief,
        Client(broker, folder_of(broker, "TANK1")) as station,
        Client(broker, broker.desk.folder / "cloud", listen=["tankwatch/v1/#"]) as cloud,
    ):

        def heard(word):
            thief.say(topics.case, word)
            station.say(A.case, word)
            assert cloud.hears(A.case, word)
            return (topics.case, word) in cloud.heard

        assert heard(b"before")
        provision.revoke(broker.desk, "GONE", None, NOW)
        provision.write_broker_files(broker.desk, NOW)
        broker.reload()
        words = (b"%d" % number for number in range(1000))
        assert any(not heard(word) for word in words)
    assert not lets_in(broker, stolen)
    provision.give(broker.desk, "GONE", NOW)
    assert lets_in(broker, folder_of(broker, "GONE")) and not lets_in(broker, stolen)


def test_lines_for_device_and_cloud_are_configurations_that_connect(broker, tmp_path):
    folder = folder_of(broker, "TANK1")
    lines = tomllib.loads((folder / "device-lines.toml").read_text())
    broker_lines = lines["broker"] | {"port": broker.ports[0]}
    for name in ("ca", "cert", "key"):
        broker_lines[name] = str(folder / Path(broker_lines[name]).name)
    device = msgspec.convert(
        {"station": "s", "camera": "c", **lines, "broker": broker_lines}, device_config.DeviceConfig
    )
    assert (device.site, device.broker.host) == ("plant-1", "127.0.0.1")
    (tmp_path / "cloud.toml").write_text(
        f'data_dir = "{tmp_path}"\n' + (broker.desk.folder / "cloud" / "cloud-lines.toml").read_text()
    )
    wanted = cloud_config.load(tmp_path / "cloud.toml").broker
    client, answers = mqtt_client.make(wanted, "tankwatch-ingest", keep_session=False), []
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.append(code.is_failure)
    client.connect(wanted.host, broker.ports[1])
    deadline = time.monotonic() + ANSWER_S
    while not answers and time.monotonic() < deadline:
        client.loop(0.1)
    client.disconnect()
    assert answers == [False]


def test_doctor_tells_a_certificate_that_is_taken_from_one_that_is_not(broker, tmp_path):
    def look(folder, ca=broker.desk.certificate):
        names = {"cert": str(folder / "device.crt"), "key": str(folder / "device.key"), "ca": str(ca)}
        return doctor_tls.handshake(device_config.BrokerConfig(port=broker.ports[0], **names), ANSWER_S)

    with Client(broker, folder_of(broker, "TANK1")) as uplink:
        assert look(folder_of(broker, "TANK1")).status == "ok"
        assert uplink.client.is_connected()
    other = make_desk(tmp_path / "other", "TANK1")
    foreign = look(other.folder / "stations" / "plant-1-TANK1")
    assert foreign.status == "fault" and "provision" in foreign.cure
    wrong = look(folder_of(broker, "TANK1"), other.certificate)
    assert wrong.status == "fault" and "ca.crt" in wrong.cure


def gets_in(broker, context):
    """Whether the broker speaks MQTT to whoever comes with that TLS context."""
    try:
        with (
            socket.create_connection(("127.0.0.1", broker.ports[0]), 2) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(CONNECT)
            return tls.recv(4)[:2] == CONNACK
    except OSError:
        return False


def lets_in(broker, folder):
    context = ssl.create_default_context(cafile=broker.desk.folder / "ca.crt")
    context.load_cert_chain(folder / "device.crt", folder / "device.key")
    return gets_in(broker, context)


def test_keys_are_the_owners_alone_and_the_authority_s_lies_apart(tmp_path):
    before = os.umask(0o077)
    desk = make_desk(tmp_path / "desk", "TANK1")
    os.umask(before)
    keys = sorted(desk.folder.rglob("*.key"))
    assert [str(key.relative_to(desk.folder)) for key in keys] == [
        "broker/server.key",
        "cloud/cloud.key",
        "offline/ca.key",
        "stations/plant-1-TANK1/device.key",
    ]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    for name in ("ca.crt", "broker/crl.pem", "broker/server.crt", "cloud/cloud.crt"):
        assert (desk.folder / name).stat().st_mode & 0o777 == 0o644
    assert (desk.folder / "broker").stat().st_mode & 0o777 == 0o755
    archive = desk.folder / "stations" / "plant-1-TANK1.tar"
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as opened:
        names = sorted(name.rpartition("/")[2] for name in opened.getnames())
    assert names == ["README.txt", "ca.crt", "device-lines.toml", "device.crt", "device.key"]


def test_device_gets_the_root_of_the_signed_repository_where_there_is_one(tmp_path):
    desk = make_desk(tmp_path / "desk")
    (tmp_path / "root.json").write_text("{}")
    folder = provision.give(desk, "TANK1", NOW, root=tmp_path / "root.json").with_suffix("")
    assert (folder / "root.json").read_text() == "{}"
    assert tomllib.loads((folder / "device-lines.toml").read_text())["updates"] == {"root": "/etc/tankwatch/root.json"}
    assert "root.json" in (folder / "README.txt").read_text()


def test_without_the_authority_s_key_nothing_is_issued_and_the_cure_is_said(tmp_path):
    desk = make_desk(tmp_path / "desk", "TANK1")
    desk.key.rename(tmp_path / "stick.key")
    with pytest.raises(ConfigError, match="bring it from where it is kept"):
        provision.give(desk, "TANK2", NOW)
    provision.give(Desk(desk.folder, tmp_path / "stick.key"), "TANK2", NOW)
    assert {one[2] for one in issued.read(desk.folder).stations(NOW.timestamp())} == {"TANK1", "TANK2"}


def test_sealed_key_opens_with_its_passphrase_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(authority.PASSPHRASE, "water")
    desk = make_desk(tmp_path / "desk")
    monkeypatch.setenv(authority.PASSPHRASE, "air")
    with pytest.raises(ConfigError, match=authority.PASSPHRASE):
        desk.open()


def test_two_calls_at_once_never_lose_a_certificate_from_the_book(tmp_path):
    folder = make_desk(tmp_path / "desk").folder
    (folder / "provision.lock").touch()
    with open(folder / "provision.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="wait until it has ended"):
            provision.provision(["TANK1", "--out", str(folder)])
    assert provision.provision(["TANK1", "--out", str(folder)]) == 0
    assert [name for name, _, _ in issued.read(folder).stations(NOW.timestamp())] == ["plant-1-TANK1"]


def test_two_stations_never_share_a_name(tmp_path):
    desk = make_desk(tmp_path / "desk", "A-B")
    with pytest.raises(ConfigError, match="already"):
        provision.give(desk, "B", NOW, site="plant-1-A")
    with pytest.raises(ConfigError, match="cannot be a name"):
        provision.give(desk, "tank+", NOW)


def test_command_says_what_to_do_next_when_a_device_is_stolen(tmp_path, capsys):
    out = ["--out", str(tmp_path / "desk")]
    assert provision.provision(["TANK1", "--site", "plant-1", "--broker", "broker.plant", *out]) == 0
    assert "README.txt" in capsys.readouterr().err
    assert provision.provision(["--revoke", "TANK1", *out]) == 0
    said = capsys.readouterr().err
    assert "restart mosquitto" in said and "token" in said
    assert not (tmp_path / "desk" / "stations" / "plant-1-TANK1.tar").exists()
    with pytest.raises(ConfigError, match="never had a certificate"):
        provision.provision(["--revoke", "TANK9", *out])


def test_a_call_that_was_cut_off_is_mended_by_the_next(tmp_path):
    desk = make_desk(tmp_path / "desk", "TANK1")
    for name in ("broker/server.crt", "broker/crl.pem", "broker/acl"):
        (desk.folder / name).unlink()
    provision.begin(desk, None, (), NOW)
    provision.renew_own(desk, NOW)
    provision.give(desk, "TANK1", NOW)
    provision.write_broker_files(desk, NOW)
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", desk.certificate, desk.folder / "stations/plant-1-TANK1/device.crt"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    desk.certificate.unlink()
    with pytest.raises(ConfigError, match="backup"):
        provision.begin(desk, None, (), NOW)


def test_certificates_of_broker_and_cloud_are_renewed_before_they_end(tmp_path):
    desk = make_desk(tmp_path / "desk")
    before = (desk.folder / "broker/server.crt").read_bytes()
    provision.renew_own(desk, NOW + timedelta(days=600))
    assert (desk.folder / "broker/server.crt").read_bytes() == before
    provision.renew_own(desk, NOW + timedelta(days=690))
    assert (desk.folder / "broker/server.crt").read_bytes() != before


def test_desk_of_an_older_release_gets_a_cloud_certificate_of_its_own_and_says_what_to_restart(tmp_path, capsys):
    desk = make_desk(tmp_path / "desk")
    before = (desk.folder / "cloud/cloud.crt").read_bytes()
    (desk.folder / "broker/cloud-ca.crt").unlink()
    assert provision.provision(["--out", str(desk.folder)]) == 0
    assert "restart mosquitto, then the cloud's services" in capsys.readouterr().err
    assert (desk.folder / "cloud/cloud.crt").read_bytes() != before
    assert provision.provision(["--out", str(desk.folder)]) == 0
    assert "restart mosquitto, then" not in capsys.readouterr().err


def test_key_of_another_authority_is_never_written_over(tmp_path):
    key = tmp_path / "stick/ca.key"
    call = ["--site", "plant-1", "--ca-key", str(key), "--out"]
    provision.provision(["TANK1", *call, str(tmp_path / "desk")])
    before = key.read_bytes()
    with pytest.raises(ConfigError, match="name its folder with --out"):
        provision.provision(["TANK2", *call, str(tmp_path / "mistyped")])
    assert key.read_bytes() == before


def test_authority_that_was_cut_off_after_its_key_goes_on_with_it(tmp_path):
    desk = Desk(tmp_path / "desk", tmp_path / "desk/offline/ca.key")
    authority.begin(desk.key, tmp_path / "elsewhere.crt", "cut off", NOW)
    before = desk.key.read_bytes()
    provision.begin(desk, "plant-1", ("127.0.0.1",), NOW)
    assert desk.key.read_bytes() == before and desk.open()


def test_stolen_device_may_nothing_also_while_the_authority_s_key_is_in_its_safe(tmp_path):
    desk = make_desk(tmp_path / "desk", "TANK1", "TANK2")
    desk.key.rename(tmp_path / "stick.key")
    with pytest.raises(ConfigError, match="bring it from where it is kept"):
        provision.provision(["--revoke", "TANK1", "--out", str(desk.folder)])
    rules = (desk.folder / "broker/acl").read_text()
    assert "TANK2" in rules and "TANK1" not in rules


@pytest.mark.parametrize(
    "argv",
    [
        ("TANK1\n", "--site", "plant"),
        ("TANK1", "--site", "plant\n"),
        ("TANK1", "--site", "p" * 60),
        ("TANK1", "--site", "plant", "--broker", "brücke.example"),
        ("TANK1", "--site", "plant", "--broker", "mqtts://broker.plant"),
        ("TANK1", "--site", "plant", "--broker", "broker.plant:8883"),
        ("TANK1", "--site", "plant", "--broker", 'a"b'),
        ("TANK1", "--site", "plant", "--revoke", "TANK2"),
    ],
)
def test_what_no_certificate_or_topic_can_hold_is_a_clear_line(tmp_path, argv):
    with pytest.raises(ConfigError):
        provision.provision([*argv, "--out", str(tmp_path / "desk")])
    assert not list(tmp_path.rglob("*.tar"))


def test_folder_that_cannot_be_written_is_a_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="another --out"):
        provision.provision(["TANK1", "--site", "plant", "--out", str(tmp_path / "file")])
