"""Bills of materials: what the lock files hold, by hash and with a licence, and the same bytes each time."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import supply
from edge_agent import sbom
from edge_agent.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
HASH = "a" * 64


@pytest.fixture
def tree(tmp_path):
    """A checkout with two packages, of which one is for Windows alone."""
    (tmp_path / "locks").mkdir()
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    lock = (
        f"# made\nnumpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:{HASH}\n"
        f"tqdm==4.67.1 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'c' * 64}\n"
    )
    for name in sbom.SETS:
        (tmp_path / "locks" / f"{name}.txt").write_text(lock)
    (tmp_path / "locks/licences.toml").write_text('[spdx]\nnumpy = "BSD-3-Clause"\n[named]\ntqdm = "two of them"\n')
    return tmp_path


def test_a_bill_names_each_package_with_its_version_licence_hashes_and_where_it_holds(tree):
    bill = json.loads(sbom.sbom(tree, "edge"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    numpy, tqdm = bill["components"]
    assert (numpy["purl"], numpy["licenses"]) == ("pkg:pypi/numpy@2.4.6", [{"expression": "BSD-3-Clause"}])
    assert numpy["properties"] == [{"name": "tankwatch:marker", "value": "python_full_version < '3.12'"}]
    assert tqdm["licenses"] == [{"license": {"name": "two of them"}}] and "properties" not in tqdm
    contents = [one["content"] for one in tqdm["externalReferences"][0]["hashes"]]
    assert contents == ["b" * 64, "c" * 64]
    assert bill["dependencies"][0]["dependsOn"] == [numpy["bom-ref"], tqdm["bom-ref"]]


def test_the_same_lock_file_gives_the_same_bytes_and_another_one_another_number(tree):
    first = sbom.sbom(tree, "edge")
    assert sbom.sbom(tree, "edge") == first
    path = tree / "locks/edge.txt"
    path.write_text(path.read_text().replace(HASH, "d" * 64))
    assert json.loads(sbom.sbom(tree, "edge"))["serialNumber"] != json.loads(first)["serialNumber"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tqdm==1.0\n", "tqdm 1.0 has no hash"),
        (f"stranger==1.0 --hash=sha256:{HASH}\n", "stranger has no licence"),
    ],
)
def test_a_package_without_hash_or_licence_is_named_and_no_bill_is_made(tree, line, words):
    (tree / "locks/edge.txt").write_text(line)
    (fault,) = sbom.faults(tree)
    assert words in fault
    with pytest.raises(ConfigError, match=words):
        sbom.sbom(tree, "edge")


@pytest.mark.parametrize("line", ["numpy\n", "numpy>=2\n", "-r other.txt\n", "numpy @ https://x.example/numpy.whl\n"])
def test_what_is_no_pinned_package_is_refused(tree, line):
    (tree / "locks/edge.txt").write_text(line)
    with pytest.raises(ConfigError, match="no name with its version"):
        sbom.faults(tree)


def test_check_fails_where_a_lock_file_is_not_good(tree, monkeypatch, capsys):
    monkeypatch.setattr(supply, "ROOT", tree)
    assert supply.main([]) == 0
    (tree / "locks/demo.txt").write_text("tqdm==1.0\n")
    assert supply.main([]) == 1
    assert "locks/demo.txt: tqdm 1.0 has no hash: run locks/renew" in capsys.readouterr().err


def test_our_own_lock_files_are_good_and_torch_alone_has_no_hash(tmp_path):
    assert sbom.faults(ROOT) == []
    bare = {entry.name for of in sbom.SETS for entry in sbom.entries(ROOT, of) if not entry.hashes}
    assert bare == set(sbom.WITHOUT_HASHES)
    assert supply.main(["--out", str(tmp_path)]) == 0
    bill = json.loads((tmp_path / "tankwatch-edge.cdx.json").read_bytes())
    assert {"numpy", "onnxruntime", "tuf"} <= {one["name"] for one in bill["components"]}
    assert [one["name"] for one in bill["components"] if one["type"] == "machine-learning-model"] == [
        "tankwatch-1.bundle"
    ]
