"""The inspection <-> the line: what PLC and robot are told after each frame, and what they have said.

Only imported where `[line]` is configured.
"""

from edge_agent.config import LineConfig
from edge_agent.due import DECIDING
from edge_agent.immersion import TriggeredImmersions
from edge_agent.line import Line, LineWord, Told
from edge_agent.mode_keeper import ModeKeeper
from edge_agent.pipeline import Inspector
from edge_agent.selfreport import SelfReport


class LineTalk:
    """Holds the interface as long as the inspection runs."""

    def __init__(self, config: LineConfig, mode: ModeKeeper, triggered: TriggeredImmersions | None) -> None:
        self.line = Line(config)
        self._mode, self._triggered = mode, triggered
        self.close = self.line.close

    def turn(self, inspector: Inspector, report: SelfReport) -> None:
        """Takes what came and hands over what is new; neither waits."""
        for word in self.line.heard():
            self._obey(word, inspector)
        mode, open_case, told = self._mode.mode, inspector.open_case_id, report.disposition
        holds = report.disposition_holds
        self.line.tell(
            Told(
                ready=mode in DECIDING,
                busy=open_case is not None,
                mode=mode,
                case_id=told.case_id if told and holds else None,
                disposition=told.disposition if told and holds else None,
                until_s=report.disposition_until_s if holds else None,
            )
        )

    def _obey(self, word: LineWord, inspector: Inspector) -> None:
        if word.serial is not None:
            inspector.named(word.serial)
        if word.acknowledge:
            self._mode.acknowledge()
        if word.trigger and self._triggered is not None:
            self._triggered.trigger()
