"""The front door: one table from command to function, imported when called; the one place that joins packages."""

import importlib
import os
import sys

COMMANDS = {
    "demo": ("benchmarks.demo:demo", "the whole system on this machine, with a twin station"),
    "inspect": ("tankwatch:inspect", "inspect a recording or a live source"),
    "replay": ("edge_agent.replay:replay", "judge a stored clip again"),
    "evaluate": ("tankwatch:evaluate", "inspect labelled recordings and report"),
    "calibrate": ("tankwatch:calibrate", "markers | fit | check | read | history | undo | compare | report"),
    "twin": ("calibration.record:twin", "record | view: the simulated station"),
    "agent": ("tankwatch:agent", "inspect | uplink | update | panel: the device's processes; pin; acknowledge"),
    "cloud": ("tankwatch:cloud", "ingest | web | retrain | rollout | updates | user | ...: the cloud's processes"),
    "train": ("tankwatch:train", "from a dataset, or by the shipped recipe, to a bundle"),
    "bundle": (
        "tankwatch:bundle",
        "show | verify | certify: what a bundle holds; publish: to devices; use | back: which one speaks",
    ),
    "install": ("edge_agent.install:install", "edge | cloud: puts it on this machine as a service"),
    "upgrade": ("edge_agent.upgrade:upgrade", "changes what is installed to this release, and back if it fails"),
    "uninstall": ("edge_agent.install:uninstall", "edge | cloud: takes it off; configuration and data stay"),
    "package": ("edge_agent.package:package", "edge | cloud: a Debian package of this checkout"),
    "release": ("tankwatch:release", "edge | cloud: what an upgrade asks of a release"),
    "provision": ("cloud_sync.provision:provision", "certificates and the broker's files for a station; --revoke"),
    "doctor": ("edge_agent.doctor:doctor", "what is installed and reachable, and how to mend it"),
    "bench": ("tankwatch:bench", "benchmarks, each as a ratio against its baseline"),
    "drill": ("tankwatch:drill", "fault exercises with a ledger"),
    "docs": ("benchmarks.docs_site:docs", "the documents as a site of plain files"),
    "check": ("benchmarks.quality:check", "format, lint, types, layers, lock files, wheel"),
    "test": ("benchmarks.quality:test", "the tests"),
}

OF_DATA = ("agent", "bundle", "calibrate", "cloud")
"""They work on the data of a station or a cloud."""


def main(argv: list[str]) -> int:
    """Runs one command. A TankwatchError becomes one line on stderr and status 1."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        print(f"tankwatch: there is no command '{name}'; ./tankwatch --help lists them", file=sys.stderr)
        return 2
    from edge_agent.errors import TankwatchError

    try:
        if name in OF_DATA:
            _as_their_owner(rest)
        return _function(COMMANDS[name][0])(rest) or 0
    except TankwatchError as error:
        print(f"tankwatch {name}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def usage() -> str:
    """All commands, a line each."""
    rows = "\n".join(f"  {name:10} {words}" for name, (_, words) in COMMANDS.items())
    return f"usage: ./tankwatch COMMAND ...\n\n{rows}\n\n./tankwatch COMMAND --help says more."


def inspect(argv: list[str]) -> int:
    """`inspect`, with the twin as one more source."""
    from edge_agent.inspection import inspect as run

    return run(argv, openers=_openers())


def evaluate(argv: list[str]) -> int:
    """`evaluate`, with the twin as one more source."""
    from models.evaluate import evaluate as run

    return run(argv, openers=_openers())


def calibrate(argv: list[str]) -> int:
    """`calibrate`, for devices too, whose processes calibration may not import itself."""
    from calibration.profile import calibrate as run

    return run(argv, _setup_device)


def agent(argv: list[str]) -> int:
    """The device's processes."""
    table = {
        "inspect": "tankwatch:agent_inspect",
        "uplink": "edge_agent.uplink:uplink",
        "update": "edge_agent.update:agent_update",
        "panel": "tankwatch:agent_panel",
        "pin": "edge_agent.pin_command:pin",
        "acknowledge": "edge_agent.acknowledging:acknowledge",
        "alarms": "edge_agent.alarms_command:agent_alarms",
    }
    return _sub("agent", argv, table)


def agent_inspect(argv: list[str]) -> int:
    """`agent inspect`, with the twin as one more camera."""
    from edge_agent.agent import agent_inspect as run

    return run(argv, openers=_openers())


def agent_panel(argv: list[str]) -> int:
    """`agent panel`, with the pages that stand behind its PIN."""
    from calibration.setup import make_blueprint
    from edge_agent.panel import agent_panel as run

    # Whoever gives no file is told so by the panel itself.
    path = _config(argv)
    return run(argv, [make_blueprint(_setup_device(path))] if path else ())


def cloud(argv: list[str]) -> int:
    """The cloud's processes."""
    table = {
        "ingest": "cloud_sync.ingest:ingest",
        "web": "cloud_sync.web:web",
        "user": "cloud_sync.user_command:user",
        "token": "cloud_sync.token_command:token",
        "audit": "cloud_sync.audit_command:audit",
        "dataset": "cloud_sync.dataset:dataset",
        "backup": "cloud_sync.backup:backup",
        "restore": "cloud_sync.restore:restore",
        "resend": "cloud_sync.resend:resend",
        "retain": "cloud_sync.retention:retain",
        "rollout": "cloud_sync.rollout:rollout",
        "updates": "cloud_sync.updates_command:updates",
        "references": "cloud_sync.references:references",
        "retrain": "tankwatch:retrain",
    }
    return _sub("cloud", argv, table)


def retrain(argv: list[str]) -> int:
    """`cloud retrain`: candidates are evaluated on the twin too, which the cloud may not import itself."""
    from calibration.manifest import write_manifest
    from calibration.twin_spec import TwinSpec
    from cloud_sync.candidate import Twin
    from cloud_sync.retrain_command import retrain as run

    def write(path, seed, cases, profile):
        write_manifest(path, TwinSpec(seed=seed, profile=profile), cases)

    return run(argv, Twin(_openers(), write))


def train(argv: list[str]) -> int:
    """`train`: the shipped recipe trains on the twin's scenes, which models may not import itself."""
    from calibration import scenes_for_training
    from models.train import train as run

    return run(argv, scenes_for_training)


def bundle(argv: list[str]) -> int:
    """What a bundle holds, and which one speaks on a device: it is tried out before it does."""
    from models import bundle_command

    if argv and argv[0] in ("use", "back"):
        from edge_agent.slots import swap

        return swap(argv, bundle_command.verify)
    if argv and argv[0] == "publish":
        from cloud_sync.updates_command import publish

        return publish(argv[1:])
    return bundle_command.bundle(argv)


def release(argv: list[str]) -> int:
    """What an upgrade asks of a release."""
    table = {"edge": "edge_agent.release_check:release", "cloud": "cloud_sync.release_check:release"}
    return _sub("release", argv, table)


def bench(argv: list[str]) -> int:
    """Benchmarks by name."""
    daily = ("pipeline", "start", "idle", "twin", "verdict", "ingest", "review", "panel")
    models = ("sight", "shake", "lamps", "water", "inputs", "novelty", "train", "real")
    seldom = ("promotions", "certificates", "drift", "rollout", "delivery")
    names = (*daily, *models, *seldom)
    outbox = {"outbox": "benchmarks.outbox_speed:run"}
    return _sub("bench", argv, {name: f"benchmarks.{name}:run" for name in names} | outbox)


def drill(argv: list[str]) -> int:
    """Fault exercises by name."""
    delivery = ("broker", "cloudfull", "diskfull", "ingest", "kill", "link", "outage", "powercut", "restore", "soak")
    hostile = ("identity", "media", "model", "payload", "web")
    names = (*delivery, *hostile, "camera", "canary", "clock", "promote", "swap", "update")
    if argv[:1] == ["all"]:
        from benchmarks import drill_all

        return drill_all.run(argv[1:], names)
    return _sub("drill", argv, {"all": "", **{name: f"benchmarks.drill_{name}:run" for name in names}})


def _as_their_owner(argv):
    path = _config(argv)
    if path is not None:
        from edge_agent import data_owner

        data_owner.become(path, path.with_name("cloud.env" if path.stem == "cloud" else f"{argv[0]}.env"))


def _config(argv):
    """What --config names, before the command itself reads it; None where nothing does."""
    import argparse
    from pathlib import Path

    early = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    early.add_argument("--config", type=Path)
    try:
        return early.parse_known_args(argv)[0].config
    except argparse.ArgumentError:
        return None


def _setup_device(path):
    """device.toml -> what commissioning knows of the device: files, published pictures, what its inspection says."""
    from pathlib import Path

    from calibration.setup_device import SetupDevice
    from edge_agent import config, slots
    from edge_agent.bundle import open_bundle
    from edge_agent.capture import without_password
    from edge_agent.cases_since import cases_since
    from edge_agent.live import PublishedCamera
    from edge_agent.profile_history import ProfilePlace

    device = config.load(path)
    return SetupDevice(
        place=ProfilePlace(Path(device.station), device.folder / "profiles"),
        camera=without_password(device.camera),
        network=device.camera.startswith(("rtsp://", "rtsps://", "http://", "https://")),
        pictures=lambda: PublishedCamera(device.live_path),
        now=lambda: _station_now(device),
        cases=lambda since: cases_since(device.outbox_path, since),
        bundle=lambda: open_bundle(slots.champion(device)),
    )


def _station_now(device):
    """What the inspection said last; None where it has never run."""
    from datetime import datetime

    from calibration.setup_device import StationNow
    from edge_agent import profile_check, state

    said = state.read(device.state_path)
    return said and StationNow(
        at_s=datetime.fromisoformat(said.at).timestamp(),
        mode=said.mode,
        mode_words=said.mode_words,
        phase=said.watched.phase if said.watched else None,
        profile_sha256=said.profile_sha256,
        checked=profile_check.checked(device.folder / "profiles"),
        framing_words=said.aim.words if said.aim else "",
        camera=said.input.camera,
    )


def _openers():
    from pathlib import Path

    return {
        "twin:": lambda spec: _function("calibration.twin:open_twin")(spec),
        ".twclip": lambda name: _function("edge_agent.replay:ClipCamera")(Path(name)),
    }


def _sub(command: str, argv: list[str], table: dict[str, str]) -> int:
    if argv and argv[0] in table:
        return _function(table[argv[0]])(argv[1:])
    asked_for_help = bool(argv) and argv[0] in ("-h", "--help")
    words = f"usage: ./tankwatch {command} {{{','.join(table)}}} ..."
    print(words, file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


def _function(place: str):
    module, name = place.split(":")
    return globals()[name] if module == "tankwatch" else getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.exit(main(sys.argv[1:]))
