"""Prometheus itself, with the example's jobs and our rules, over a device and a cloud that run here."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from desk_site import Site
from device_files import a_report, a_state, write
from metrics_site import work
from panel_site import a_device, a_panel
from serving import server_of, serving

from edge_agent.rhythm import every

MONITORING = Path(__file__).resolve().parent.parent / "systemd" / "monitoring"
PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.full,
    pytest.mark.usefixtures("quick_passwords"),
    pytest.mark.skipif(not PROMETHEUS, reason="prometheus is absent"),
]


def configured(folder: Path, targets: dict[str, str], token: str) -> Path:
    """The example with other addresses, more often, and no token for the device."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / name) for name in config["rule_files"]]
    (folder / "token").write_text(token)
    for job in config["scrape_configs"]:
        job["scheme"] = "http"
        job["static_configs"] = [job["static_configs"][0] | {"targets": [targets[job["job_name"]]]}]
        job.pop("authorization")
    config["scrape_configs"][1]["authorization"] = {"credentials_file": str(folder / "token")}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def ask(address: str, path: str) -> dict:
    with urllib.request.urlopen(f"{address}/api/v1/{path}", timeout=5) as answer:
        return json.load(answer)["data"]


def wait_for(what, within_s: float = 40.0):
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := what():
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.2)


@pytest.fixture
def address(tmp_path):
    """Of a Prometheus that scrapes one device and one cloud."""
    device, cloud = a_device(tmp_path), Site(tmp_path)
    work(cloud)
    token = cloud.token("viewer")["Authorization"].removeprefix("Bearer ")
    with ExitStack() as stack:
        stack.enter_context(every(0.5, lambda: write(device, a_state(), a_report())))
        panel = stack.enter_context(serving(server_of(a_panel(tmp_path, device=device, pin=None))))
        web = stack.enter_context(serving(server_of(cloud.app)))
        targets = {"tankwatch-device": panel.split("//")[1], "tankwatch-cloud": web.split("//")[1]}
        own = f"127.0.0.1:{free_port()}"
        config = configured(tmp_path, targets, token)
        assert PROMETHEUS
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
        process = subprocess.Popen(
            [PROMETHEUS, *arguments, f"--web.listen-address={own}"], stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        yield f"http://{own}"
        process.terminate()
        process.wait(20)
    cloud.engine.dispose()


def test_it_scrapes_both_and_every_rule_can_be_evaluated(address):
    def up():
        targets = ask(address, "targets")["activeTargets"]
        return len(targets) == 2 and all(target["health"] == "up" for target in targets) and targets

    targets = wait_for(up)
    assert {target["lastError"] for target in targets} == {""}

    def evaluated():
        groups = ask(address, "rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"] if group["name"] != "tankwatch-device-recorded"]
        return all(rule["health"] == "ok" for rule in rules) and rules

    assert {rule["health"] for rule in wait_for(evaluated)} == {"ok"}
    (found,) = ask(address, "query?query=tankwatch_water_clarity_ratio")["result"]
    assert (found["metric"]["site"], found["metric"]["station"], found["value"][1]) == ("plant1", "TANK1", "0.9")
    (found,) = ask(address, "query?query=tankwatch_certificate_miss_rate_upper_ratio")["result"]
    assert found["metric"]["station"] == "TANK1" and "exported_station" not in found["metric"]
