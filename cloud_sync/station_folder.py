"""A station's certificate -> the folder and the archive that are carried to its device, and what is done with them.

The lines for device.toml name files in /etc/tankwatch, where the instructions put them.
"""

import io
import tarfile
from pathlib import Path

import msgspec

from cloud_sync import authority
from edge_agent import durable

PLACE = "/etc/tankwatch"
README = """Station {station} of site {site}: what goes to its device. Whoever holds device.key is that station:
carry it on a stick or through ssh, never by mail, and delete this folder where it is not needed any more.

On the device, where Tankwatch is installed (sudo ./tankwatch install edge), in this folder:

    sudo install -o root -g tankwatch -m 640 ca.crt device.crt device.key {root_file}/etc/tankwatch/
    # the lines of device-lines.toml into /etc/tankwatch/device.toml, in place of what it says of them
    sudo systemctl restart tankwatch-inspect tankwatch-uplink tankwatch-update tankwatch-panel
    sudo /opt/tankwatch/current/tankwatch agent pin --config /etc/tankwatch/device.toml   # PIN of /setup and alarms
    sudo /opt/tankwatch/current/tankwatch doctor --config /etc/tankwatch/device.toml

The certificate ends on {ends}; `tankwatch provision {station} --site {site}` makes the next one while this one holds.
Stolen or lost: `tankwatch provision --revoke {station} --site {site}` where this was made.
"""


class Carried(msgspec.Struct, frozen=True):
    """What one station gets. `updates_root` is the signed repository's root.json, where there is one."""

    site: str
    station: str
    host: str
    port: int
    authority: bytes
    certificate: bytes
    key: bytes
    ends: str
    updates_root: bytes | None = None


def write(folder: Path, carried: Carried) -> Path:
    """The folder, written anew, and beside it the archive; gives the archive. Raises StoreError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = contents(carried)
    for name, data in files.items():
        authority.write_private(folder / name, data)
    archive = folder.with_name(f"{folder.name}.tar")
    authority.write_private(archive, _archive(folder.name, files))
    durable.sync_folder(folder)
    return archive


def contents(carried: Carried) -> dict[str, bytes]:
    """Name -> bytes of each file."""
    files = {"ca.crt": carried.authority, "device.crt": carried.certificate, "device.key": carried.key}
    if carried.updates_root is not None:
        files["root.json"] = carried.updates_root
    root_file = "root.json " if carried.updates_root is not None else ""
    words = README.format(station=carried.station, site=carried.site, ends=carried.ends, root_file=root_file)
    return files | {"device-lines.toml": _lines(carried).encode(), "README.txt": words.encode()}


def _lines(carried: Carried) -> str:
    updates = f'\n[updates]\nroot = "{PLACE}/root.json"\n' if carried.updates_root is not None else ""
    return f"""site = "{carried.site}"

[broker]
host = "{carried.host}"
port = {carried.port}
ca = "{PLACE}/ca.crt"
cert = "{PLACE}/device.crt"
key = "{PLACE}/device.key"
{updates}"""


def _archive(name: str, files: dict[str, bytes]) -> bytes:
    """No owner and no times of this machine; rights as in the folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for file, data in sorted(files.items()):
            info = tarfile.TarInfo(f"{name}/{file}")
            info.size, info.mode = len(data), 0o600
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
