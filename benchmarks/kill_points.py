"""The named points of `drill kill`: moments in the code, in words, at which a process of the device dies."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.moments import COMMIT, Moment

Process = Literal["inspect", "uplink", "upkeep", "agent"]
Scene = Literal["", "new device", "damaged", "other version", "wish", "order", "little room"]


@dataclass(frozen=True, slots=True)
class Point:
    """`process` dies at `moment`; before that it has died at those in `first`, one after the other."""

    words: str
    process: Process
    moment: Moment
    first: tuple[Moment, ...] = ()
    scene: Scene = ""
    large: bool = False
    """The clip has several parts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is made and killed, and where."""

    cases: int
    frames: int
    """So many of the cases come from the whole agent."""
    kills: int
    """At random moments, of which `frame_kills` hit the whole agent."""
    frame_kills: int
    points: tuple[Point, ...]
    seed: int
    others: bool = False
    """Broker and intake are killed too, now and then."""


_CLOSED = Moment("before", "edge_agent.durable:sync", within="Outbox.put")
_KEPT_CLIP = Moment("before", "edge_agent.spool:Spool.keep_case", within="Outbox.put")
_NO_ROW = Moment("before", "edge_agent.outbox_table:add", within="Outbox.put")
_COMMITTED = Moment("after", COMMIT, within="Outbox.put")
_CASE_TOPIC, _MANIFEST, _PART = "/case'", r"/manifest'", r"clip/[0-9a-f]{64}/[0-9]"
_CLIP_RECEIPT = r"\('[0-9a-f]{64}'"
_SEND = "edge_agent.link:Link.send"
_WIRE = "socket:socket.send"

FIRST_START = (
    Point(
        "the installation's id is written, and has no name yet",
        "uplink",
        Moment("before", "os:link", within="Spool.install_id"),
        scene="new device",
    ),
    Point(
        "the tables of a new outbox are made, and not committed",
        "inspect",
        Moment("before", "benchmarks.moments:Rows.execute", holding="'COMMIT'"),
        scene="new device",
    ),
)
PUTTING = (
    Point(
        "half a frame is in the clip's draft",
        "inspect",
        Moment("amid", "edge_agent.clips:ClipWriter._write", nth=4),
    ),
    Point("the clip's draft is closed, and not synced", "inspect", _CLOSED),
    Point(
        "the draft is synced, and has no name",
        "inspect",
        Moment("before", "edge_agent.durable:move", within="Spool.keep_clip"),
    ),
    Point(
        "the clip has its name, and the folder is not synced",
        "inspect",
        Moment("before", "edge_agent.durable:sync_folder", within="Spool.keep_clip"),
    ),
    Point("the clip is kept, and its case is not", "inspect", _KEPT_CLIP),
    Point(
        "half the case is in its temporary file",
        "inspect",
        Moment("amid", "edge_agent.durable:open", within="Spool.keep_case"),
    ),
    Point(
        "the case is in its temporary file, and not synced",
        "inspect",
        Moment("before", "os:fsync", within="Spool.keep_case"),
    ),
    Point(
        "the case is synced, and has no name",
        "inspect",
        Moment("before", "os:replace", within="Spool.keep_case"),
    ),
    Point(
        "the case has its name, and the folder is not synced",
        "inspect",
        Moment("before", "edge_agent.durable:sync_folder", within="Spool.keep_case"),
    ),
    Point("the case is on the disk, and has no row", "inspect", _NO_ROW),
    Point("the row is written, and not committed", "inspect", Moment("before", COMMIT, within="Outbox.put")),
    Point("the row is committed, and nobody was told", "inspect", _COMMITTED),
    Point(
        "the same case comes again: its second draft is not removed yet",
        "inspect",
        Moment("before", "edge_agent.durable:remove", within="Outbox.put"),
        first=(_COMMITTED,),
    ),
)
STARTING = (
    Point(
        "the start has not removed the draft of a case that was cut off",
        "inspect",
        Moment("before", "edge_agent.durable:remove", within="Spool.remove_drafts"),
        first=(_CLOSED,),
    ),
    Point(
        "the start has removed a clip without a case, and told nobody",
        "inspect",
        Moment("after", "edge_agent.durable:remove", within="Outbox._remove_leftovers"),
        first=(_KEPT_CLIP,),
    ),
    Point(
        "the start has made the row that was missing, and not committed it",
        "inspect",
        Moment("before", COMMIT, within="Outbox._rebuild"),
        first=(_NO_ROW,),
    ),
    Point(
        "a database of another version is put aside, and its journal, which the uplink has open, is not",
        "inspect",
        Moment("before", "os:replace", within="_set_aside", nth=2),
        first=(_COMMITTED,),
        scene="other version",
    ),
    Point(
        "the damaged database is put aside, and there is no new one",
        "inspect",
        Moment("before", "edge_agent.outbox_table:connect", nth=2),
        first=(_COMMITTED,),
        scene="damaged",
    ),
    Point(
        "a few rows of the new database are made from the files, and not committed",
        "inspect",
        Moment("before", "edge_agent.outbox_table:add", within="Outbox._rebuild", nth=3),
        first=(_COMMITTED,),
        scene="damaged",
    ),
)
KEEPING = (
    Point(
        "retention has removed a record's file, and not its clip",
        "upkeep",
        Moment("before", "edge_agent.durable:remove", within="Outbox.retain", holding="twclip"),
    ),
    Point(
        "retention has removed a record's files, and not forgotten its row",
        "upkeep",
        Moment("before", "edge_agent.outbox_table:forget"),
    ),
    Point(
        "retention has forgotten the rows, and not committed it",
        "upkeep",
        Moment("before", COMMIT, within="Outbox.retain", nth=4),
    ),
    Point(
        "a clip went because there was little room, and its row says that it is there",
        "upkeep",
        Moment("before", "edge_agent.outbox_table:clip_unusable"),
        scene="little room",
    ),
)
SENDING = (
    Point("a case is taken from the outbox, and not sent", "uplink", Moment("before", _SEND, holding=_CASE_TOPIC)),
    Point("half of a case's message is on the wire", "uplink", Moment("amid", _WIRE, holding="/case")),
    Point(
        "the broker's acknowledgement is here, and nobody has heard it",
        "uplink",
        Moment("before", "edge_agent.uplink_state:UplinkState._take", holding="Acknowledged"),
    ),
    Point(
        "the broker's second acknowledgement is heard, and counts for nothing",
        "uplink",
        Moment("after", "edge_agent.uplink_state:UplinkState._take", holding="Acknowledged", nth=2),
    ),
    Point("the receipt is here, and the row waits", "uplink", Moment("before", "edge_agent.outbox:Outbox.receipted")),
    Point(
        "the receipt is in the row, and not committed",
        "uplink",
        Moment("before", COMMIT, within="Outbox.receipted"),
    ),
    Point(
        "a clip is announced, and the cloud has not answered",
        "uplink",
        Moment("after", _SEND, holding=_MANIFEST),
    ),
    Point(
        "the cloud has said where a clip begins, and that is not kept",
        "uplink",
        Moment("before", "edge_agent.outbox:Outbox.resume_at"),
    ),
    Point("half of a clip's part is on the wire", "uplink", Moment("amid", _WIRE, holding=_PART), large=True),
    Point(
        "some parts of a clip are sent, and not the others",
        "uplink",
        Moment("after", _SEND, holding=_PART, nth=2),
        large=True,
    ),
    Point(
        "a clip's receipt is here, and the row waits",
        "uplink",
        Moment("before", "edge_agent.outbox:Outbox.receipted", holding=_CLIP_RECEIPT),
    ),
    Point(
        "half of the cloud's wish is in its temporary file",
        "uplink",
        Moment("amid", "edge_agent.durable:open", within="UplinkState._wish"),
        scene="wish",
    ),
    Point(
        "an order has come, and is not carried out",
        "uplink",
        Moment("before", "edge_agent.orders:carry_out"),
        scene="order",
    ),
    Point(
        "an order is carried out, and its answer is not kept",
        "uplink",
        Moment("before", "edge_agent.outbox:Outbox.keep_answer"),
        scene="order",
    ),
    Point(
        "an order's answer is kept, and not given",
        "uplink",
        Moment("after", "edge_agent.outbox:Outbox.keep_answer"),
        scene="order",
    ),
    Point(
        "half of uplink.json is in its temporary file",
        "uplink",
        Moment("amid", "pathlib:Path.write_bytes", holding="uplink.json"),
    ),
)
INSPECTING = (
    Point(
        "half of state.json is in its temporary file",
        "agent",
        Moment("amid", "pathlib:Path.write_bytes", holding="state.json"),
    ),
    Point(
        "half a frame of the open case is in its draft",
        "agent",
        Moment("amid", "edge_agent.clips:ClipWriter._write", nth=40),
    ),
    Point(
        "the case is closed, and the keeper does not have it",
        "agent",
        Moment("before", "edge_agent.keeper:Keeper.keep"),
    ),
    Point(
        "the case is on the disk, and not said",
        "agent",
        Moment("after", "edge_agent.outbox:Outbox.put"),
    ),
)
POINTS = (*FIRST_START, *INSPECTING, *PUTTING, *STARTING, *KEEPING, *SENDING)
