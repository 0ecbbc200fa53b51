"""The policy: a file that says where judged cases go, known by its hash."""

import hashlib
from pathlib import Path

import pytest

from cloud_sync import policy, policy_file, routing
from cloud_sync.config import CloudConfig
from cloud_sync.policy import Policy, Routing
from edge_agent.errors import ConfigError


def test_the_shipped_policy_says_what_the_code_would_say_without_it(tmp_path: Path) -> None:
    shipped, sha256 = policy_file.load(CloudConfig(data_dir=str(tmp_path)))
    assert shipped == Policy(version=1)
    assert sha256 == hashlib.sha256(policy_file.SHIPPED.read_bytes()).hexdigest()


def test_a_named_policy_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("version = 7\naudit_share = 0.5\n")
    own, _ = policy_file.load(CloudConfig(data_dir=str(tmp_path), policy=str(tmp_path / "own.toml")))
    assert (own.version, own.audit_share, own.gold_share) == (7, 0.5, 0.05)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "version"),
        ("version = 1\ncolour = 2", "colour"),
        ("version = 1\naudit_share = 1.5", "audit_share"),
        ("version = 1\naudit_share = 0.96", "leave nothing"),
        ("version = 1\n[pool]\nheld_out_share = 0.9", "over 1 together"),
        ('version = 1\n[routing]\nright = "bin"', "right"),
        ('version = 1\n[labels]\ntest = ["conflict"]', "test"),
        ("= 1", "mend that line"),
    ],
)
def test_a_policy_that_cannot_hold_names_its_fault_and_file(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError, match=fault) as raised:
        policy_file.load(CloudConfig(data_dir=str(tmp_path), policy=str(tmp_path / "own.toml")))
    assert "own.toml" in str(raised.value)


def test_a_policy_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="take `policy` out"):
        policy_file.load(CloudConfig(data_dir=str(tmp_path), policy=str(tmp_path / "none.toml")))


@pytest.mark.parametrize("verdict", ["ok", "leak", "uncertain", "not_tested"])
@pytest.mark.parametrize("word", ["ok", "leak", "cannot_tell"])
@pytest.mark.parametrize("familiar", [True, False, None])
def test_the_shipped_rules_are_those_that_experts_are_told(verdict, word, familiar) -> None:
    assert policy.split_of(Routing(), verdict, word, familiar) == routing.split_of(verdict, word, familiar)


def test_other_rules_send_cases_elsewhere() -> None:
    rules = Routing(wrong_familiar="pool", asked="train")
    assert policy.split_of(rules, "ok", "leak", True) == "pool"
    assert policy.split_of(rules, "uncertain", "leak", True) == "train"
