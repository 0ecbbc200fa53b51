"""The device's files -> what stands, how the alarms of some days measure up, and what might be set otherwise.

For the command line and the panel's page.
"""

from dataclasses import dataclass

from edge_agent import alarm_figures, alarm_files, alarm_proposals
from edge_agent.alarm_catalogue import Catalogue
from edge_agent.alarm_figures import Figures
from edge_agent.alarm_history import AlarmHistory
from edge_agent.alarm_proposals import Proposal
from edge_agent.alarm_settings import SettingsFile
from edge_agent.alarms import Board, Event
from edge_agent.config import DeviceConfig

DAY_S = 86_400.0
WEEKS_DAYS = 30.0
"""From which proposals are made."""


@dataclass(frozen=True, slots=True)
class AlarmReport:
    """`events`: the newest first."""

    board: Board
    catalogue: Catalogue
    settings_fault: str
    figures: Figures
    events: tuple[Event, ...]


def report(device: DeviceConfig, now_s: float, days: float = 1.0) -> AlarmReport:
    """What stands now, and the last days. `now_s`: UTC."""
    settings = settings_of(device)
    catalogue = settings.catalogue
    board = alarm_files.standing(device.alarms_path, catalogue)
    from_s = now_s - days * DAY_S
    events = history_of(device).since(from_s)
    found = alarm_figures.figures(events, board.active, catalogue.figures, span_s=(from_s, now_s))
    return AlarmReport(board, catalogue, settings.fault, found, tuple(reversed(events)))


def propose(device: DeviceConfig, now_s: float) -> tuple[Proposal, ...]:
    """From the last weeks."""
    events = history_of(device).since(now_s - WEEKS_DAYS * DAY_S)
    return alarm_proposals.proposals(events, settings_of(device).catalogue)


def settings_of(device: DeviceConfig) -> SettingsFile:
    """The plant's own file and its trail."""
    return SettingsFile(device.alarm_settings_path, device.alarms_path / "changes.jsonl")


def history_of(device: DeviceConfig) -> AlarmHistory:
    return AlarmHistory(device.alarms_path / "history.db")
