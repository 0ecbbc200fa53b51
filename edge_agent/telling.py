"""The machine's word on the unit in the water -> the line, the screen and MQTT, as far as the mode lets it be said.

Called by the frame loop, which waits for nobody here.
"""

from typing import TYPE_CHECKING

from edge_agent.config import DeviceConfig
from edge_agent.immersion import TriggeredImmersions
from edge_agent.mode_keeper import ModeKeeper
from edge_agent.pipeline import Inspector
from edge_agent.selfreport import SelfReport
from edge_agent.state import ShownWord

if TYPE_CHECKING:
    from edge_agent.line_talk import LineTalk

VALID_S = 30.0
"""Of a disposition that only MQTT hears of: without `[line]` nothing takes it."""


class Telling:
    """What is said of one run of the inspection."""

    def __init__(
        self,
        device: DeviceConfig,
        inspector: Inspector,
        *,
        report: SelfReport,
        mode: ModeKeeper,
        triggered: TriggeredImmersions | None,
    ) -> None:
        self._inspector, self._report, self._mode = inspector, report, mode
        self._valid_s = device.line.valid_s if device.line else VALID_S
        self._talk = _line_talk(device, mode, triggered)
        self._begun = False

    def settle(self) -> None:
        """The mode is looked at now: another bundle speaks from the next frame on, or the first frame was seen."""
        self._report.standing = self._mode.look(self._report.circumstances())
        self._inspector.in_mode(self._mode.mode)

    def turn(self) -> None:
        """After each frame. The first one settles the mode, which then is looked at beside the frames."""
        if not self._begun and self._inspector.sight is not None:
            self._begun = True
            self.settle()
        self._inspector.in_mode(self._mode.mode)
        shown = self._inspector.shown
        self._report.spoke(self._inspector.told, ShownWord(*shown) if shown else None, self._valid_s)
        if self._talk:
            self._talk.turn(self._inspector, self._report)

    def close(self) -> None:
        """Nothing more is said to the line."""
        if self._talk:
            self._talk.close()


def _line_talk(device: DeviceConfig, mode: ModeKeeper, triggered: TriggeredImmersions | None) -> "LineTalk | None":
    """What is not configured is not imported."""
    if device.line is None:
        return None
    from edge_agent.line_talk import LineTalk

    return LineTalk(device.line, mode, triggered)
