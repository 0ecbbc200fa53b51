"""A stored clip's label and a bundle's verdict on it -> Judged, as if it had just been inspected.

What a clip does not hold, such as the frames before the unit was watched, is left as nothing.
"""

from datetime import UTC, datetime

from edge_agent import compare
from edge_agent.bundle import Bundle
from edge_agent.records import Case, DecidedBy, DecisionWord, FramingSummary, Sampled, Verdict, WaterSummary
from edge_agent.verdict import Watched
from models.judged import Judged
from models.labelled import Labelled

MOMENT = datetime.fromtimestamp(0, UTC).isoformat()
"""A clip judged again has no time of its own: the same bundle gives the same line on any day."""


def judged(labelled: Labelled, said: Verdict, watched: Watched, bundle: Bundle, decision: DecisionWord) -> Judged:
    """`labelled.name` is the case's id."""
    decided_by: DecidedBy = "none" if decision == "none" else "human"
    return Judged(
        labelled,
        Case(
            case_id=labelled.name,
            site="",
            station="",
            boot_id="",
            sequence=0,
            started_at=MOMENT,
            ended_at=MOMENT,
            started_s=0.0,
            ended_s=watched.usable_s,
            usable_s=watched.usable_s,
            verdict=said.verdict,
            score=said.score,
            reason=said.reason,
            leak_at_px=None,
            leak_at_tank_px=said.leak_at_tank_px,
            leak_std_cm3_s=said.emission.leak_std_cm3_s if said.emission else None,
            smallest_leak_std_cm3_s=said.smallest_leak_std_cm3_s,
            decision=decision,
            decided_by=decided_by,
            outcome=compare.outcome(said.verdict, decision, decided_by),
            sampled=Sampled("none", 1.0),
            framing=FramingSummary("unchecked"),
            water=WaterSummary("unknown"),
            frames=0,
            composites=watched.composites,
            dropped=0,
            bundle=bundle.ref,
            mode="shadow",
            profile_sha256=None,
            visibility=said.visibility,
            novelty=said.novelty,
        ),
    )
