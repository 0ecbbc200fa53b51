"""The panel as one application: what every answer carries, whom it answers, and that no writing route is left open."""

import re
from pathlib import Path

import pytest
from flask import Flask
from panel_site import a_device, a_panel, free_port, give_pin, token

import tankwatch
from calibration.setup import make_blueprint
from edge_agent import config
from edge_agent.errors import ConfigError, LinkError
from edge_agent.panel import create_app, make_server


def test_every_answer_carries_the_guards(tmp_path: Path) -> None:
    client = a_panel(tmp_path).test_client()
    for path in ("/pin", "/nothing", "/static/panel.css"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8480", 200),
        ("localhost", 200),
        ("[::1]:8480", 200),
        ("10.1.2.3:8480", 200),
        ("tank1.plant.example", 200),
        ("evil.example:8480", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example", 400),
        ("", 400),
    ],
)
def test_a_name_that_is_not_ours_is_not_answered(tmp_path: Path, host: str, status: int) -> None:
    app = a_panel(tmp_path, device=a_device(tmp_path, names=("Tank1.plant.example",)))
    assert app.test_client().get("/pin", headers={"Host": host}).status_code == status


@pytest.fixture
def whole(tmp_path: Path) -> Flask:
    """With everything that the front door mounts."""
    path = tmp_path / "device.toml"
    path.write_bytes(config.dump(a_device(tmp_path)))
    return a_panel(tmp_path, [make_blueprint(tankwatch._setup_device(path))])


def test_every_writing_route_refuses_what_has_no_form_token(whole: Flask) -> None:
    client = whole.test_client()
    give_pin(client)
    answers = {path: client.post(path).status_code for path in _paths(whole)}
    assert set(answers.values()) == {400}
    assert {path.split("/")[1] for path in answers} == {"pin", "alarms", "setup"}


def test_every_writing_route_but_the_pins_own_refuses_who_has_not_given_it(whole: Flask) -> None:
    client = whole.test_client()
    form = {"csrf_token": token(client)}
    assert {client.post(path, data=form).status_code for path in _paths(whole) if not path.startswith("/pin")} == {401}


def _paths(app: Flask) -> list[str]:
    """Of all rules that take anything but a look."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.methods - {"GET", "HEAD", "OPTIONS"}]
    assert all(rule.methods & {"POST"} for rule in rules)
    return [re.sub(r"<(int:)?\w+>", "1", rule.rule) for rule in rules]


def test_a_disk_that_takes_nothing_does_not_keep_the_panel_from_starting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    assert create_app(a_device(tmp_path), tmp_path / "device.toml").test_client().get("/pin").status_code == 403


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    app = a_panel(tmp_path)
    device = a_device(tmp_path, port=free_port())
    taken = make_server(app, device)
    try:
        with pytest.raises(LinkError, match=f"127.0.0.1:{device.panel.port} cannot be used"):
            make_server(app, device)
    finally:
        taken.close()


def test_a_language_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="language is 'xx', there are .*en"):
        a_panel(tmp_path, device=a_device(tmp_path, language="xx"))
