"""A candidate on the twin's fresh set: what another version of the program has judged is not mixed in."""

import json

import tankwatch
from calibration.manifest import write_manifest
from calibration.twin_spec import TwinSpec
from cloud_sync import candidate
from cloud_sync.candidate import Ask, Both, Twin
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from models import code_version


def test_after_an_upgrade_the_twins_set_is_made_and_judged_anew(tmp_path, monkeypatch):
    both = Both(*[open_bundle(shipped_bundle())] * 2)

    def write(path, seed, cases, profile):
        write_manifest(path, TwinSpec(seed=seed, profile=profile, size=(320, 240), fps=8.0), cases)

    def judged():
        found = candidate.on_twin(tmp_path, both, Twin(tankwatch._openers(), write), Ask(1, "demo", 1), lambda *_: None)
        (line,) = (tmp_path / "cases.jsonl").read_text().splitlines()
        return found.figures["twin"]["candidate"]["cases"], json.loads(line)["case_id"]

    first, again = judged(), judged()
    assert first == again and first[0] == 1, "judged once"
    (tmp_path / "worst" / "01-of-before.png").touch()
    monkeypatch.setattr(code_version, "of_judging", lambda: "of tomorrow")
    later = judged()
    assert later[0] == 1 and later[1] != first[1], "not judged anew"
    assert not (tmp_path / "worst" / "01-of-before.png").exists()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["manifest"]["name"].startswith("twin-demo-"), "the card names its data by this"
