"""One command swaps the champion; the old one stays for the way back, and whatever fails changes nothing."""

from pathlib import Path

import msgspec
import pytest

import tankwatch
from edge_agent import config, slots, trial_run
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError, ModelError
from edge_agent.inspection import shipped_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    """Three bundles that differ in nothing but their version."""
    shipped, folder = open_bundle(shipped_bundle()), tmp_path_factory.mktemp("bundles")
    paths = [folder / f"{version}.bundle" for version in (7, 8, 9)]
    for path in paths:
        manifest = msgspec.structs.replace(shipped.manifest, version=int(path.stem))
        write_bundle(path, manifest, shipped.nets, shipped.features, golden=shipped.golden)
    return paths


@pytest.fixture
def device(tmp_path: Path, bundles: list[Path]) -> DeviceConfig:
    found = DeviceConfig(
        site="hall", station="station.toml", camera="twin:", bundle=str(bundles[0]), data_dir=str(tmp_path)
    )
    (tmp_path / "device.toml").write_bytes(config.dump(found))
    return found


def version(device: DeviceConfig) -> int:
    return open_bundle(slots.champion(device)).manifest.version


def accept(_: Bundle) -> None:
    """Nothing speaks against it."""


def test_a_device_begins_with_the_bundle_that_its_config_names(device):
    assert version(device) == 7
    assert slots.champion(msgspec.structs.replace(device, bundle=None)) == shipped_bundle()


def test_one_command_swaps_the_champion_and_one_brings_the_old_one_back(device, bundles, capsys):
    config_file = str(device.folder / "device.toml")
    assert tankwatch.main(["bundle", "use", str(bundles[1]), "--config", config_file]) == 0
    assert version(device) == 8 and "version 8" in capsys.readouterr().err
    assert tankwatch.main(["bundle", "back", "--config", config_file]) == 0
    assert version(device) == 7 and "version 7" in capsys.readouterr().err
    assert tankwatch.main(["bundle", "back", "--config", config_file]) == 0
    assert version(device) == 8


def test_a_third_bundle_takes_the_place_of_the_one_that_does_not_speak(device, bundles):
    for path in bundles[1:]:
        assert slots.use(device, path, accept)
        slots.change(device, lambda record: trial_run.held(record, record.bundle.sha256))
    assert version(device) == 9
    slots.back(device, accept)
    assert version(device) == 8


def test_the_champion_does_not_depend_on_the_file_that_it_came_from(device, bundles, tmp_path):
    path = tmp_path / "new.bundle"
    path.write_bytes(bundles[1].read_bytes())
    slots.use(device, path, accept)
    path.unlink()
    assert version(device) == 8


def test_the_bundle_that_speaks_already_is_no_swap(device, bundles):
    slots.use(device, bundles[1], accept)
    assert not slots.use(device, bundles[1], accept)
    slots.back(device, accept)
    assert version(device) == 7


def test_a_bundle_that_was_altered_or_does_not_run_never_speaks(device, bundles, tmp_path, capsys):
    damaged = tmp_path / "damaged.bundle"
    data = bytearray(bundles[1].read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    command = ["bundle", "use", str(damaged), "--config", str(device.folder / "device.toml")]
    assert tankwatch.main(command) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1

    def refuse(_: Bundle) -> None:
        raise ModelError("its lamps net gives no number: train it again")

    with pytest.raises(ModelError):
        slots.use(device, bundles[1], refuse)
    assert version(device) == 7


def test_an_interruption_before_the_last_step_leaves_the_old_champion(device, bundles, monkeypatch):
    slots.use(device, bundles[1], accept)

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slots, "_point", power_cut)
    with pytest.raises(KeyboardInterrupt):
        slots.use(device, bundles[2], accept)
    assert version(device) == 8


def test_there_is_no_way_back_before_the_first_swap(device):
    with pytest.raises(ConfigError, match="no other bundle has spoken"):
        slots.back(device, accept)


def test_a_damaged_note_of_the_champion_is_said_and_not_guessed(device, bundles):
    slots.use(device, bundles[1], accept)
    (device.folder / "bundles" / "champion").write_bytes(b"{")
    with pytest.raises(ConfigError, match="remove it"):
        slots.champion(device)


def heard(device: DeviceConfig) -> int | None:
    path = slots.challenger(device)
    return open_bundle(path).manifest.version if path else None


def test_the_config_names_the_challenger_until_another_is_heard_or_none(device, bundles):
    assert heard(device) is None and not slots.hear(device, None)
    named = msgspec.structs.replace(device, challenger=str(bundles[1]))
    assert heard(named) == 8
    assert slots.hear(named, None) and heard(named) is None
    assert not slots.hear(named, None)
    assert slots.hear(named, bundles[2]) and heard(named) == 9
    assert not slots.hear(named, bundles[2])
    assert slots.hear(named, None) and heard(named) is None


def test_a_damaged_challenger_is_not_heard_and_the_one_before_stays(device, bundles, tmp_path):
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(bundles[1].read_bytes()[:-9])
    slots.hear(device, bundles[1])
    with pytest.raises(ModelError):
        slots.hear(device, damaged)
    assert heard(device) == 8


def test_a_bundle_on_trial_gives_way_to_the_next_and_the_one_that_has_held_stays(device, bundles):
    slots.use(device, bundles[1], accept)
    slots.use(device, bundles[2], accept)
    slots.trouble(device, open_bundle(bundles[2]).sha256, "it answers with no number: train it again")
    assert version(device) == 7


def test_what_failed_is_not_tried_again_for_the_same_wish(device, bundles):
    slots.use(device, bundles[1], accept, wish=5)
    record = slots.trouble(device, open_bundle(bundles[1]).sha256, "it hangs: look into the log")
    assert version(device) == 7
    assert trial_run.report(record).state == "returned"
    with pytest.raises(ModelError, match="order it anew"):
        slots.use(device, bundles[1], accept, wish=5)
    assert slots.use(device, bundles[1], accept, wish=6)
    assert version(device) == 8 and trial_run.report(slots.speaking(device)).state == "ready"


def test_every_change_shows_in_the_stamp(device, bundles):
    seen = [slots.stamp(device)]
    for step in (
        lambda: slots.use(device, bundles[1], accept),
        lambda: slots.hear(device, bundles[2]),
        lambda: slots.hear(device, None),
        lambda: slots.back(device, accept),
    ):
        step()
        seen.append(slots.stamp(device))
    assert len(set(seen)) == len(seen)
