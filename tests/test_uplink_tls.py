"""The uplink over TLS, with a certificate of its own and with a broker that it must not trust."""

import logging
import shutil
import socket
import subprocess
import threading
import time

import msgspec
import pytest

from benchmarks.installation import make_configs
from cloud_sync.broker import mosquitto
from edge_agent import uplink

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and mosquitto()), reason="TLS is tried with openssl and mosquitto, which are not here"
)


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path):
    """ca.pem signs broker.pem (127.0.0.1) and device.pem; other.pem has signed neither."""
    for name in ("ca", "other"):
        new = ["req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}"]
        openssl(tmp_path, *new, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("broker", "device"):
        openssl(
            tmp_path,
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            "csr",
        )
        sign = ["x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
        openssl(tmp_path, *sign, "-extfile", "names", "-out", f"{name}.pem")
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    return tmp_path


@pytest.fixture
def broker_port(certificates, unused_port):
    folder = certificates
    folder.chmod(0o755)
    (folder / "mosquitto.conf").write_text(
        f"listener {unused_port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n"
        f"keyfile {folder}/broker.key\nrequire_certificate true\nuse_identity_as_username true\nuser root\n"
    )
    process = subprocess.Popen([mosquitto(), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    yield unused_port
    process.terminate()
    process.wait()


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(("ca", "words"), [("ca.pem", "connected broker"), ("other.pem", "CERTIFICATE_VERIFY_FAILED")])
def test_a_broker_is_trusted_only_with_the_right_certificate(certificates, broker_port, caplog, ca, words):
    caplog.set_level(logging.INFO)
    device, _ = make_configs(certificates, broker_port)
    files = {"ca": ca, "cert": "device.pem", "key": "device.key"}
    broker = msgspec.structs.replace(device.broker, **{key: str(certificates / name) for key, name in files.items()})
    stop = threading.Event()
    sender = threading.Thread(
        target=uplink.run, args=(msgspec.structs.replace(device, broker=broker), stop.is_set), daemon=True
    )
    sender.start()
    deadline = time.monotonic() + 20
    while words not in caplog.text and time.monotonic() < deadline:
        stop.wait(0.02)
    stop.set()
    sender.join(10)
    assert words in caplog.text
