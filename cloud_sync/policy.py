"""PURE. The policy file's text -> Policy: where judged cases go, what a dataset draws, how experts' work is shared out,
and when a challenger has won.

The file has a version for people and is known by its hash; `policy_file` reads it, `draw` follows it.
"""

from typing import Annotated, Literal

import msgspec

from cloud_sync import rollout_plan
from cloud_sync.rollout_plan import Plan
from cloud_sync.routing import Judged, Split, machine_was_wrong
from edge_agent.errors import ConfigError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Margin = Annotated[float, msgspec.Meta(gt=0, le=0.2)]
Risk = Annotated[float, msgspec.Meta(gt=0, lt=1)]
LabelState = Literal["single", "agreed", "adjudicated"]
"""How sure a label is: one expert's word, two who agree, or a dispute that a third one settled."""
SETTLED: tuple[LabelState, ...] = ("single", "agreed", "adjudicated")


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which set a judged case goes to."""

    wrong_familiar: Split = "train"
    """The machine said leak or ok, the expert the opposite, of a kind that the machine should have known."""
    wrong_unfamiliar: Split = "test"
    right: Split = "pool"
    asked: Split = "pool"
    """The machine said uncertain or not tested."""


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a dataset draws from the pool. The draw goes by unit, or by case where the unit is not known."""

    training_share: Share = 0.8
    held_out_share: Share = 0.2
    """For tests. What neither share takes stays out of the dataset."""
    salt: str = "tankwatch"
    """Another salt draws others; what was released stays where it was."""
    held_out_stations: tuple[str, ...] = ()
    """`site/station`: whatever they judge is test data, which shows how the next model takes a new tank."""


class Balance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How uneven the classes may be in what training gets; the larger one's pool is cut down to it."""

    most_per_other: Annotated[float, msgspec.Meta(ge=1)] = 20.0


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure a label must be. A case on which experts disagree is never an example."""

    training: tuple[LabelState, ...] = SETTLED
    test: tuple[LabelState, ...] = SETTLED


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a challenger has won against the champion beside which it ran, and when it will not."""

    miss_margin: Margin = 0.005
    """Of leaking units: it may miss so many more."""
    false_alarm_margin: Margin = 0.005
    """Of all units: where it is better in something else it may give so many more false alarms."""
    answer_margin: Margin = 0.01
    """Of all units: where it is better in something else it may leave so many more without an answer."""
    alpha_per_year: Risk = 0.05
    """Of a station: the chance that any of a year's challengers wins without being as good as that."""
    share_of_rest: Risk = 0.1
    """Of what is left of a year's chance: what the next challenger gets."""
    leak_audit: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """How often a unit that champion and inspector call leaky is drawn for an expert while a run lasts: these are few,
    and without known leaks nothing is known of misses."""
    alpha_lost: Risk = 0.05
    """The chance that a challenger which is no worse is said to be."""
    fewest_days: Positive = 28
    """Before these nobody says that a challenger will not get there."""
    longest_days: Positive = 120
    """After these a challenger has had its time."""
    patience: Annotated[float, msgspec.Meta(ge=1)] = 4.0
    """It will not get there where the present figures ask for so many times `longest_days`."""


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a certificate must show, all with 95 % together."""

    miss_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    """Of leaking units that are answered, those answered ok, at most."""
    false_alarm_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    coverage: Share
    """Share of the tested units that is answered, at least."""


class Automation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much evidence each degree of automation takes."""

    assist: Requirement = Requirement(0.05, 0.10, 0.80)
    """A marginal appraiser in an attribute study (AIAG): the human still decides."""
    partial: Requirement = Requirement(0.02, 0.05, 0.90)
    """An acceptable appraiser."""
    full: Requirement = Requirement(0.01, 0.02, 0.95)
    """Twice as good as that: nobody looks after it."""
    challenge_parts_count: bool = True
    """Parts of known truth may show the miss rate where the station's own leaking units are too few."""
    challenge_parts_least: Positive = 10
    """So many different leaking parts must have been run: a thousand runs of one show that one."""
    valid_days: Positive = 30
    """A certificate and its order end then and are ordered anew: a tank changes with the seasons."""

    @property
    def least_parts(self) -> int | None:
        """None: challenge parts do not stand for leaking units."""
        return self.challenge_parts_least if self.challenge_parts_count else None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How judgements are asked for and used."""

    version: Positive
    gold_share: Share = 0.05
    """Of the looks: cases whose truth is known."""
    audit_share: Share = 0.25
    """Of the looks: agreements drawn at random."""
    second_share: Share = 0.1
    """Of the judged cases: looked at by a second expert."""
    audit_days: Positive = 7
    """Within which audits are judged."""
    reservation_min: Positive = 30
    judgements_for_training: Positive = 50
    """Until the next training."""
    routing: Routing = Routing()
    pool: Pool = Pool()
    balance: Balance = Balance()
    labels: Labels = Labels()
    rollout: Plan = Plan()
    promotion: Promotion = Promotion()
    automation: Automation = Automation()


def decode(data: bytes) -> Policy:
    """TOML -> Policy. Raises ConfigError with the fault."""
    try:
        policy = msgspec.toml.decode(data, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"policy is not usable: {error}: mend that line") from error
    if policy.pool.training_share + policy.pool.held_out_share > 1 + 1e-9:
        raise ConfigError("policy is not usable: training_share and held_out_share of the pool are over 1 together")
    if policy.gold_share + policy.audit_share >= 1:
        raise ConfigError("policy is not usable: gold_share and audit_share leave nothing for other cases")
    try:
        rollout_plan.checked(policy.rollout)
    except ConfigError as error:
        raise ConfigError(f"policy is not usable: {error}") from error
    return policy


def split_of(routing: Routing, verdict: str, judgement: Judged, familiar: bool | None) -> Split | None:
    """Where a judged case goes. None: what nobody can tell is no example."""
    if judgement == "cannot_tell":
        return None
    if machine_was_wrong(verdict, judgement):
        if familiar is None:
            return "pool"
        return routing.wrong_familiar if familiar else routing.wrong_unfamiliar
    return routing.right if verdict == judgement else routing.asked
