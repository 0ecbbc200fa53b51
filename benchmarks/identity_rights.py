"""Who may say and hear what, as docs/installation.md promises it: written down again, apart from `broker_rules`.

A station says what devices say, below its own root, and hears what it is told there; the cloud hears all and says what
it tells stations. Whatever is not said here is forbidden. PURE.
"""

from edge_agent import wire
from edge_agent.wire import Topics

CLOUD = "cloud"
CLIP = "c" * 64
OUTSIDE = (
    "tankwatch/v1/cloud/audit/head",
    "tankwatch/v1/cloud/other",
    "tankwatch/v2/plant-1/A/case",
    "other",
    "$SYS/x",
)
"""Below no station; only the first is anybody's."""
HEAD = OUTSIDE[0]
FOREIGN = ("other", "case/more", f"clip/{CLIP}", "alarm", "alarm/x/y", "command", "reply", "status/x")
"""Below a station's root, and in no contract."""


def station_topics(place: Topics) -> dict[str, str]:
    """One topic of each kind below a station's root -> who says it: `station`, `cloud` or `nobody`."""
    said = (
        place.status,
        place.case,
        place.clip_manifest(CLIP),
        place.clip_part(CLIP, 0),
        place.metrics,
        place.alarm("x"),
        place.disposition,
        place.reply("x"),
    )
    told = (place.receipt, place.desired, place.command("x"))
    nobodys = tuple(f"{place.root}/{place.site}/{place.station}/{name}" for name in FOREIGN)
    return dict.fromkeys(said, "station") | dict.fromkeys(told, CLOUD) | dict.fromkeys(nobodys, "nobody")


def all_topics(places: dict[str, Topics]) -> tuple[str, ...]:
    """Of these stations, of the cloud, and outside."""
    return (*(topic for place in places.values() for topic in station_topics(place)), *OUTSIDE)


def may_say(who: str, topic: str, places: dict[str, Topics]) -> bool:
    """`who`: a key of `places`, or the cloud."""
    if who == CLOUD:
        return topic == HEAD or any(station_topics(place).get(topic) == CLOUD for place in places.values())
    return station_topics(places[who]).get(topic) == "station"


def may_hear(who: str, topic: str, places: dict[str, Topics]) -> bool:
    """What it is told, its own alarms and its own status."""
    if who == CLOUD:
        return topic.startswith(f"{wire.ROOT}/")
    place = places[who]
    return topic in (place.receipt, place.desired, place.command("x"), place.status, place.alarm("x"))


def filters(way: str, who: str, topics: tuple[str, ...]) -> tuple[str, ...]:
    """What somebody subscribes to who wants to hear all of it, in that way. Groups are one's own: each gets all."""
    exact = tuple(topic for topic in topics if not topic.startswith("$"))
    if way == "wildcards":
        return ("#", "$SYS/#", "+/+/#", f"{wire.ROOT}/+/+/receipt", f"{wire.ROOT}/+/+/case")
    if way == "shared":
        return tuple(f"$share/group-{who}/{topic}" for topic in exact)
    return (*exact, "$SYS/broker/uptime")


WAYS = ("exact", "wildcards", "shared", "retained")
"""Of hearing; with the last, the words were retained before anybody listened."""
