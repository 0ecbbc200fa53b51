"""The ten classes of attack that the TUF specification names (1.5.2), and slow retrieval, which it named before: each
as what a hostile server answers, with the reasons for which a device may refuse it.
"""

import hashlib
import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile

from benchmarks.hostile import Forger, dripping, endless, given, silent, spoken
from benchmarks.update_lab import SITE, STATION, Lab, Reply
from cloud_sync.signed_state import Books
from edge_agent.offered import bundle_target, station_target
from edge_agent.records import BundleRef

FAR = (2_000_000, 2**31, 2**53)
METADATA = ("snapshot", "targets", "bundles", "stations")
ONLINE = frozenset({"bundles", "snapshot", "timestamp"})
"""The keys that a thief finds on the server that trains."""


@dataclass(frozen=True)
class Attack:
    """One attempt. `replies`: path below the server -> what it answers; a path that ends with * answers for many."""

    kind: str
    name: str
    replies: Mapping[str, Reply]
    reasons: frozenset[str]
    """Why the device may refuse it: a Reason of `repository`, or words of the report on the bundle."""
    wish: BundleRef | None = None
    """What a hostile broker makes the device desire; None = the honest wish."""
    clock: datetime | None = None
    """What the device's clock says; None = the truth."""
    stolen: frozenset[str] = frozenset()
    """Roles whose keys the cloud exchanges afterwards."""

    def answer(self, path: str) -> Reply | None:
        for named, reply in self.replies.items():
            if path == named or (named.endswith("*") and path.startswith(named[:-1])):
                return reply
        return None


Maker = Callable[[Lab, random.Random], Attack]


def _attack(
    kind: str,
    name: str,
    replies: Mapping[str, Reply],
    *reasons: str,
    wish: BundleRef | None = None,
    by: Forger | None = None,
) -> Attack:
    return Attack(kind, name, replies, frozenset(reasons), wish, stolen=by.stolen if by else frozenset())


def _file(lab: Lab, name: str) -> bytes:
    return (lab.config.updates_path / "metadata" / name).read_bytes()


def _current(lab: Lab, role: str) -> tuple[str, bytes]:
    """(path on the server, bytes) of the newest metadata of a role."""
    books = Books.load(lab.config)
    name = "timestamp.json" if role == "timestamp" else f"{books.parts[role].signed.version}.{role}.json"
    return f"/metadata/{name}", _file(lab, name)


def _target(lab: Lab, path: str) -> tuple[str, bytes]:
    info = Books.load(lab.config).target(path)
    assert info is not None
    name = info.get_prefixed_paths()[0]
    return f"/targets/{name}", (lab.config.updates_path / "targets" / name).read_bytes()


def _wanted(lab: Lab) -> tuple[str, bytes]:
    return _target(lab, bundle_target(lab.ref("C").sha256))


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
    return bytes(changed)


def _evil(lab: Lab, rng: random.Random) -> tuple[BundleRef, bytes]:
    """A bundle of the forger's: bytes at the end that no zip reader minds, so that its hash is new."""
    data = lab.bundles["C"].read_bytes() + rng.randbytes(4)
    return BundleRef(version=66, sha256=hashlib.sha256(data).hexdigest()), data


# Arbitrary software installation


def other_bytes(lab: Lab, rng: random.Random) -> Attack:
    path, data = _wanted(lab)
    return _attack("arbitrary_software", "bytes changed", {path: given(_flipped(data, rng))}, "altered")


def more_bytes(lab: Lab, rng: random.Random) -> Attack:
    path, data = _wanted(lab)
    longer = data + rng.randbytes(rng.randrange(1, 9000))
    return _attack("arbitrary_software", "bytes added", {path: given(longer)}, "too_long")


def own_keys(lab: Lab, rng: random.Random) -> Attack:
    ref, data = _evil(lab, rng)
    replies = Forger(lab).offers(bundle_target(ref.sha256), data)
    return _attack("arbitrary_software", "own keys", replies, "signature", wish=ref)


def changed_metadata(lab: Lab, rng: random.Random) -> Attack:
    path, data = _current(lab, rng.choice(("timestamp", "snapshot", "bundles")))
    bent = {path: given(_flipped(data, rng))}
    return _attack(
        "arbitrary_software", "metadata changed", bent, "altered", "signature", "malformed", "too_long", "ahead"
    )


def never_offered(lab: Lab, rng: random.Random) -> Attack:
    ref, data = _evil(lab, rng)
    replies = {f"/targets/bundles/{ref.sha256}.{ref.sha256}.bundle": given(data)}
    return _attack("arbitrary_software", "broker names another", replies, "not offered", wish=ref)


# Endless data


def endless_metadata(lab: Lab, rng: random.Random) -> Attack:
    path, data = _current(lab, rng.choice(("timestamp", "snapshot", "bundles")))
    beginning = data if rng.random() < 0.5 else b""
    return _attack("endless_data", "metadata", {path: endless(beginning)}, "too_long")


def endless_root(lab: Lab, rng: random.Random) -> Attack:
    return _attack("endless_data", "root", {"/metadata/2.root.json": endless()}, "too_long")


def endless_target(lab: Lab, rng: random.Random) -> Attack:
    path, data = _wanted(lab)
    return _attack("endless_data", "bundle", {path: endless(data[: rng.randrange(len(data))])}, "too_long")


def endless_head(lab: Lab, rng: random.Random) -> Attack:
    lines = b"HTTP/1.0 200 OK\r\n" + b"X-More: and more\r\n" * rng.randrange(200, 2000)
    return _attack("endless_data", "head", {"/metadata/timestamp.json": spoken(lines)}, "unreachable", "slow")


# Extraneous dependencies


def stranger_in_the_bundle(lab: Lab, rng: random.Random) -> Attack:
    """Whoever may sign bundles packs something else beside the nets."""
    out = io.BytesIO(lab.bundles["C"].read_bytes())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(
            rng.choice(("setup.py", "nets/more.onnx", "../../etc/cron.d/x", "golden/x.sh")), rng.randbytes(9)
        )
    ref = BundleRef(version=66, sha256=hashlib.sha256(out.getvalue()).hexdigest())
    forger = Forger(lab, ONLINE)
    replies = forger.offers(bundle_target(ref.sha256), out.getvalue())
    return _attack(
        "extraneous_dependencies", "a member more", replies, "unknown or repeated member", wish=ref, by=forger
    )


def order_from_the_wrong_role(lab: Lab, rng: random.Random) -> Attack:
    """Whoever may sign bundles names an order, or what bundles are tried on: not theirs to say."""
    forger = Forger(lab, ONLINE)
    ref, data = _evil(lab, rng)
    name = rng.choice(("mode.json", "references.json"))
    replies = forger.offers(station_target(SITE, STATION, name), b'{"mode":"full"}')
    return _attack("extraneous_dependencies", "a target of another role", replies, "not offered", wish=ref, by=forger)


def role_of_ones_own(lab: Lab, rng: random.Random) -> Attack:
    """Whoever may sign bundles lets a role of their own offer everything."""
    forger = Forger(lab, ONLINE)
    key = forger.own.public_key
    helper = DelegatedRole("helper", [key.keyid], 1, True, ["bundles/*", "stations/*/*/*"])
    forger.signed("bundles").delegations = Delegations({key.keyid: key}, {"helper": helper})
    ref, _ = _evil(lab, rng)
    return _attack(
        "extraneous_dependencies", "a role more", forger.replies("bundles"), "malformed", wish=ref, by=forger
    )


# Fast-forward


def timestamp_ahead(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp"}) if rng.random() < 0.7 else frozenset())
    forger.signed("timestamp").version = rng.choice(FAR) + rng.randrange(1000)
    replies = {"/metadata/timestamp.json": given(forger.sign("timestamp"))}
    return _attack("fast_forward", "timestamp", replies, "ahead", by=forger)


def snapshot_ahead(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    forger.signed("snapshot").version = rng.choice(FAR) + rng.randrange(1000)
    return _attack("fast_forward", "snapshot", forger.replies(), "ahead", by=forger)


def role_ahead(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    role = rng.choice(("targets", "bundles", "stations"))
    forger.signed("snapshot").meta[f"{role}.json"] = MetaFile(rng.choice(FAR) + rng.randrange(1000))
    return _attack("fast_forward", "a role", forger.replies(), "ahead", by=forger)


# Indefinite freeze


def ended(lab: Lab, rng: random.Random) -> Attack:
    """What was true once is shown after its end; signed genuinely, and kept back until then."""
    role = rng.choice(("timestamp", "snapshot", "bundles"))
    forger = Forger(lab, ONLINE)
    forger.signed(role).expires = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=rng.randrange(1, 10**6))
    replies = forger.replies(*(("bundles",) if role == "bundles" else ()))
    return _attack("indefinite_freeze", f"{role} has ended", replies, "expired", by=forger)


def clock_at_1970(lab: Lab, rng: random.Random) -> Attack:
    """A device that has lost its time would find everything fresh."""
    clock = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10**6))
    return replace(_attack("indefinite_freeze", "clock at 1970", {}, "clock"), clock=clock)


def clock_set_back(lab: Lab, rng: random.Random) -> Attack:
    """Somebody turns it back to when the old state had not ended."""
    clock = datetime.now(UTC) - timedelta(days=rng.randrange(2, 3000))
    return replace(_attack("indefinite_freeze", "clock set back", {}, "clock"), clock=clock)


# Malicious mirrors preventing updates

REFUSALS: dict[str, Reply] = {
    "404": given(b"", 404),
    "403": given(b"", 403),
    "500": given(b"", 500),
    "503": given(b"later", 503, Retry_After="999999"),
    "redirect": given(b"", 302, Location="http://127.0.0.1:9/"),
    "page": given(b"<html>it works</html>"),
    "nothing": given(b""),
    "hangs up": spoken(b""),
    "no HTTP": spoken(b"SSH-2.0-x\r\n"),
    "breaks off": given(b'{"signed": {"_type"', Content_Length="4000"),
}


def mirror(lab: Lab, rng: random.Random) -> Attack:
    name, where = rng.choice(sorted(REFUSALS)), rng.choice(("/*", "/metadata/timestamp.json", "/targets/bundles/*"))
    reasons = ("unreachable", "malformed", "altered", "too_long", "slow")
    return _attack("malicious_mirrors", f"{name} at {where}", {where: REFUSALS[name]}, *reasons)


# Mix-and-match


def old_part(lab: Lab, rng: random.Random) -> Attack:
    """The newest state with one part of an older one."""
    role = rng.choice(("snapshot", "bundles"))
    path, _ = _current(lab, role)
    version = int(path.rsplit("/", 1)[1].split(".")[0])
    older = _file(lab, f"{rng.randrange(max(1, version - 2), version)}.{role}.json")
    return _attack("mix_and_match", f"an older {role}", {path: given(older)}, "altered", "version", "too_long")


def old_part_renamed(lab: Lab, rng: random.Random) -> Attack:
    """With the timestamp's key: it names the older snapshot by the newer number."""
    forger = Forger(lab, frozenset({"timestamp"}))
    version = forger.signed("snapshot").version
    older = _file(lab, f"{version - 1}.snapshot.json")
    forger.signed("timestamp").snapshot_meta = MetaFile(version + 1)
    forger.signed("timestamp").version += 1
    replies = {"/metadata/timestamp.json": given(forger.sign("timestamp"))}
    replies[f"/metadata/{version + 1}.snapshot.json"] = given(older)
    return _attack("mix_and_match", "an older snapshot under a newer number", replies, "version", by=forger)


def never_together(lab: Lab, rng: random.Random) -> Attack:
    """With the keys of timestamp and snapshot: parts that never were one state."""
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    role = rng.choice(("bundles", "stations"))
    version = forger.signed("snapshot").meta[f"{role}.json"].version
    forger.signed("snapshot").meta[f"{role}.json"] = MetaFile(version + 1)
    replies = forger.replies() | {f"/metadata/{version + 1}.{role}.json": given(_current(lab, role)[1])}
    return _attack("mix_and_match", f"{role} under a number that never was", replies, "version", by=forger)


# Rollback


def old_timestamp(lab: Lab, rng: random.Random) -> Attack:
    """States that the device has left behind, and that have not ended yet."""
    replies = {"/metadata/timestamp.json": given(rng.choice(lab.timestamps[:-2]))}
    return _attack("rollback", "an older timestamp", replies, "version")


def old_snapshot(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp"}))
    version = rng.randrange(1, forger.signed("snapshot").version - 1)
    forger.signed("timestamp").snapshot_meta = MetaFile(version)
    forger.signed("timestamp").version += rng.randrange(1, 100)
    replies = {"/metadata/timestamp.json": given(forger.sign("timestamp"))}
    return _attack("rollback", "an older snapshot by a newer timestamp", replies, "version", by=forger)


def old_role(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    forger.signed("snapshot").meta["bundles.json"] = MetaFile(1)
    return _attack("rollback", "older bundles by a newer snapshot", forger.replies(), "version", by=forger)


def lost_role(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    del forger.signed("snapshot").meta[f"{rng.choice(('bundles', 'stations', 'targets'))}.json"]
    return _attack("rollback", "a role taken out", forger.replies(), "malformed", by=forger)


def old_root(lab: Lab, rng: random.Random) -> Attack:
    replies = {"/metadata/2.root.json": given(_file(lab, "1.root.json"))}
    return _attack("rollback", "the first root again", replies, "version")


# Vulnerability to key compromises


def one_root_key(lab: Lab, rng: random.Random) -> Attack:
    """One of three root keys, two are needed; it may sign twice."""
    forger = Forger(lab)
    root: Metadata = forger.books.root
    stolen = rng.choice(list(forger.books.keys.signers("root").values()))
    role = rng.choice(("timestamp", "targets", "root"))
    root.signed.version += 1
    root.signed.add_key(forger.own.public_key, role)
    if role == "root":
        root.signed.roles["root"].threshold = 1
    root.signatures.clear()
    for signer in (stolen, forger.own):
        root.sign(signer, append=True)
    return _attack(
        "key_compromise",
        f"one root key, for {role}",
        {"/metadata/2.root.json": given(root.to_bytes())},
        "signature",
        by=forger,
    )


def online_keys(lab: Lab, rng: random.Random) -> Attack:
    """Timestamp and snapshot, which lie on the server: they name what they cannot sign."""
    ref, data = _evil(lab, rng)
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    replies = forger.offers(bundle_target(ref.sha256), data, role=rng.choice(("bundles", "targets")))
    return _attack("key_compromise", "timestamp and snapshot", replies, "signature", wish=ref, by=forger)


def trainers_key(lab: Lab, rng: random.Random) -> Attack:
    """The bundles' key signs the stations' list."""
    forger = Forger(lab, frozenset({"timestamp", "snapshot"}))
    by = list(forger.books.keys.signers("bundles").values())
    forger.signed("stations").targets.clear()
    forger.signed("stations").version += 1
    data = forger.sign("stations", by=by)
    forger.signed("snapshot").meta["stations.json"] = MetaFile.from_data(
        forger.signed("stations").version, data, ["sha256"]
    )
    replies = forger.replies() | {f"/metadata/{forger.signed('stations').version}.stations.json": given(data)}
    return _attack("key_compromise", "the bundles' key for stations", replies, "signature", by=forger)


def stations_key(lab: Lab, rng: random.Random) -> Attack:
    """The stations' key offers a bundle: not theirs to offer."""
    ref, data = _evil(lab, rng)
    forger = Forger(lab, frozenset({"timestamp", "snapshot", "stations"}))
    replies = forger.offers(bundle_target(ref.sha256), data, role="stations")
    return _attack("key_compromise", "the stations' key for a bundle", replies, "not offered", wish=ref, by=forger)


# Wrong software installation


def another_of_ours(lab: Lab, rng: random.Random) -> Attack:
    """Genuine bytes, but of a file that nobody asked for."""
    path, _ = _wanted(lab)
    other = _target(lab, bundle_target(lab.ref(rng.choice("AB")).sha256))[1]
    return _attack(
        "wrong_software", "another bundle's bytes", {path: given(other)}, "altered", "too_long", "unreachable"
    )


def another_under_its_name(lab: Lab, rng: random.Random) -> Attack:
    """Whoever may sign bundles calls one by another's name."""
    forger = Forger(lab, ONLINE)
    other = lab.bundles[rng.choice("AB")].read_bytes()
    replies = forger.offers(bundle_target(lab.ref("C").sha256), other)
    return _attack("wrong_software", "a bundle under another's name", replies, "lies there", by=forger)


def a_file_for_a_bundle(lab: Lab, rng: random.Random) -> Attack:
    forger = Forger(lab, ONLINE)
    data = rng.randbytes(rng.randrange(1, 5000))
    replies = forger.offers(bundle_target(lab.ref("C").sha256), data)
    return _attack("wrong_software", "no bundle at all", replies, "no whole zip file", by=forger)


# Slow retrieval


def drop_by_drop(lab: Lab, rng: random.Random) -> Attack:
    path, data = rng.choice((_current(lab, "timestamp"), _wanted(lab)))
    return _attack("slow_retrieval", "drop by drop", {path: dripping(data, rng.uniform(0.005, 0.05))}, "slow")


def head_by_drops(lab: Lab, rng: random.Random) -> Attack:
    path, data = _current(lab, "timestamp")
    return _attack("slow_retrieval", "a head by drops", {path: dripping(data, 0.05, head=True)}, "slow")


def falls_silent(lab: Lab, rng: random.Random) -> Attack:
    path, _ = rng.choice((_current(lab, "timestamp"), _wanted(lab)))
    return _attack("slow_retrieval", "falls silent", {path: silent(3.0)}, "slow")


CLASSES: dict[str, tuple[Maker, ...]] = {
    "arbitrary_software": (other_bytes, more_bytes, own_keys, changed_metadata, never_offered),
    "endless_data": (endless_metadata, endless_root, endless_target, endless_head),
    "extraneous_dependencies": (stranger_in_the_bundle, order_from_the_wrong_role, role_of_ones_own),
    "fast_forward": (timestamp_ahead, snapshot_ahead, role_ahead),
    "indefinite_freeze": (ended, clock_at_1970, clock_set_back),
    "malicious_mirrors": (mirror,),
    "mix_and_match": (old_part, old_part_renamed, never_together),
    "rollback": (old_timestamp, old_snapshot, old_role, lost_role, old_root),
    "key_compromise": (one_root_key, online_keys, trainers_key, stations_key),
    "wrong_software": (another_of_ours, another_under_its_name, a_file_for_a_bundle),
    "slow_retrieval": (drop_by_drop, head_by_drops, falls_silent),
}
TEN = tuple(CLASSES)[:-1]
"""The specification's own."""


def drawn(lab: Lab, each: int, rng: random.Random) -> Iterator[Attack]:
    """So many attacks of each class, its variants in turn."""
    for makers in CLASSES.values():
        for number in range(each):
            yield makers[number % len(makers)](lab, rng)
