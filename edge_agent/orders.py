"""Command -> Reply: what the cloud may order of a device. `uplink_state` sees to it that it happens once."""

from datetime import UTC, datetime

from edge_agent.messages import Command, Reply
from edge_agent.outbox import Outbox
from edge_agent.state import DeviceState


def carry_out(command: Command, outbox: Outbox, seen: DeviceState | None, utc: str) -> Reply:
    """Does what is ordered and says so. A trigger waits in the outbox for `agent inspect`."""
    if command.expires_at is not None and command.expires_at < utc:
        return Reply(id=command.id, done=False, text=f"expired at {command.expires_at[:40]}: send it again")
    match command.order:
        case "send_clip" if command.case_id:
            count = outbox.send_again(case_id=command.case_id)
            words = "the case waits again with its clip" if count else f"there is no case {command.case_id} any more"
            return Reply(id=command.id, done=count > 0, text=words)
        case "resend_since" if command.since:
            since = _second(command.since)
            if since is None:
                words = f"{command.since[:40]!r} is no ISO 8601 time: write 2026-11-29T14:00:00Z"
                return Reply(id=command.id, done=False, text=words)
            count = outbox.send_again(since=since)
            return Reply(id=command.id, done=True, text=f"{count} cases wait again with their clips")
        case "trigger":
            return Reply(id=command.id, done=True, text="handed to the inspection")
        case "self_test":
            backlog, camera = outbox.backlog(), seen.input.camera if seen else "unknown"
            words = f"{backlog.cases} cases and {backlog.clips} clips wait; camera {camera}"
            return Reply(id=command.id, done=True, text=words)
    return Reply(id=command.id, done=False, text=f"{command.order} needs another field: see the schema")


def _second(text: str) -> str | None:
    """The second in UTC, without a zone: at or before every time of that second, as texts compare. None: no time."""
    try:
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment
        return utc.strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError):
        return None
