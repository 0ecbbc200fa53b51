"""`package`: a checkout -> a Debian package whose scripts run the same `install`, `upgrade` and `uninstall`.

The same checkout gives the same bytes: times are fixed, files sorted, owners root. The package carries the checkout to
/usr/share/tankwatch; releases and their packages of Python are made from it in /opt/tankwatch, as from any checkout.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_agent import install_release as releases
from edge_agent import sbom
from edge_agent.errors import ConfigError, StoreError
from edge_agent.install import TREE
from edge_agent.install_parts import CONFIG, EDGE, HOME, JOURNAL, JOURNAL_SOURCE, PARTS, Part

PLACE = "/usr/share/tankwatch"
NAMES = {"edge": "tankwatch", "cloud": "tankwatch-cloud"}
FIXED_S = 1767225600
"""2026-01-01 UTC, the time of every file in a package, where SOURCE_DATE_EPOCH names no other."""
DEPENDS = "python3 (>= 3.11), passwd, util-linux"
RECOMMENDS = "systemd, python3-venv, ca-certificates, libzbar0"
"""Without them: units are only put in place, the launcher fetches pip by itself, one reader reads the codes."""


def package(argv: list[str]) -> int:
    """`tankwatch package [edge|cloud] [--out DIR] [--wheels DIR]`"""
    parser = argparse.ArgumentParser("tankwatch package", description="Builds a Debian package of this checkout.")
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), default="edge")
    parser.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="default: build")
    words = "wheels that go along, so that the machine needs no network: pip download -r locks/edge.txt -d DIR"
    parser.add_argument("--wheels", type=Path, metavar="DIR", help=words)
    options = parser.parse_args(argv)
    print(build(TREE, PARTS[options.part], options.out, options.wheels))
    return 0


def build(tree: Path, part: Part, out: Path, wheels: Path | None = None) -> Path:
    """The package's path; its bill of materials lies beside it. Raises ConfigError or StoreError."""
    if shutil.which("dpkg-deb") is None:
        raise ConfigError("dpkg-deb is missing: build the package on a Debian or Ubuntu machine")
    if wheels is not None and not list(wheels.glob("*.whl")):
        raise ConfigError(f"{wheels} holds no wheels: pip download -r locks/{part.packages}.txt -d {wheels}")
    out.mkdir(parents=True, exist_ok=True)
    name = f"{NAMES[part.name]}_{version(tree)}_all.deb"
    with tempfile.TemporaryDirectory(prefix="tankwatch-") as scratch:
        root = Path(scratch) / "root"
        _fill(root, tree, part, wheels)
        _settle(root)
        _dpkg_deb(root, out / name, "none" if wheels else "xz")
    (out / name).with_suffix(".cdx.json").write_bytes(sbom.sbom(tree, part.packages))
    return out / name


def version(tree: Path) -> str:
    """`0.1.0+<hash>`: a package is told from the next one also between two versions."""
    return releases.name(tree).replace("-", "+", 1)


def control(part: Part, of: str, size_kb: int) -> str:
    """The package's description. Edge and cloud are packages of their own; both carry the whole checkout."""
    other = NAMES[next(name for name in PARTS if name != part.name)]
    what = "the device beside a leak-test tank" if part is EDGE else "the cloud of leak-test stations"
    return f"""Package: {NAMES[part.name]}
Version: {of}
Section: misc
Priority: optional
Architecture: all
Maintainer: Tankwatch <tankwatch@localhost>
Installed-Size: {size_kb}
Depends: {DEPENDS}
Recommends: {RECOMMENDS}
Conflicts: {other}
Description: Tankwatch, {what}
 Watches a leak-test tank, says ok, leak, uncertain or not tested, and learns from the inspector.
 .
 Python's packages come from the wheels that this package carries or, where it carries none, from the network, with
 hashes. Configuration is in {CONFIG}, programs are in {HOME}.
"""


def scripts(part: Part, *, wheels: bool) -> dict[str, str]:
    """Maintainer scripts: they say when, the command says what."""
    offline = f" --wheels {PLACE}/wheels" if wheels else ""
    run = f"python3 {PLACE}/tankwatch"
    links = "".join(f"\n    [ ! -L {where} ] || rm -f {where}" for where, _ in part.links)
    return {
        "postinst": f"""#!/bin/sh
# A machine that has the part already gets the newer release beside the older one, which runs on if that fails.
set -e
[ "$1" = configure ] || exit 0
if [ -n "$2" ] && [ -e {HOME}/installed.json ]; then
    {run} upgrade{offline}
else
    {run} install {part.name}{offline}
fi
""",
        "prerm": f"""#!/bin/sh
# On an upgrade what runs goes on running. Configuration and data stay; only 'purge' takes the configuration.
set -e
[ "$1" = remove ] || exit 0
{run} uninstall {part.name}
find {PLACE} -name __pycache__ -prune -exec rm -rf {{}} +
""",
        "postrm": f"""#!/bin/sh
# Cases and clips in {part.folders[1].path} are evidence: a package never deletes them.
set -e
if [ "$1" = purge ]; then
    rm -f {part.config_path}{links}
    rmdir --ignore-fail-on-non-empty {CONFIG} 2>/dev/null || true
fi
""",
    }


def _fill(root: Path, tree: Path, part: Part, wheels: Path | None) -> None:
    place = root / PLACE.lstrip("/")
    place.parent.mkdir(parents=True)
    releases.copy(tree, place)
    if wheels is not None:
        (place / "wheels").mkdir()
        for wheel in sorted(wheels.glob("*.whl")):
            shutil.copyfile(wheel, place / "wheels" / wheel.name)
    journal = root / JOURNAL.lstrip("/")
    journal.parent.mkdir(parents=True)
    shutil.copyfile(tree / "systemd" / JOURNAL_SOURCE, journal)
    size_kb = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    debian = root / "DEBIAN"
    debian.mkdir()
    (debian / "control").write_text(control(part, version(tree), size_kb))
    # The one file in /etc that comes as it is; device.toml and cloud.toml are written once by `install`, so dpkg
    # never asks about what people have written there.
    (debian / "conffiles").write_text(f"{JOURNAL}\n")
    for name, text in scripts(part, wheels=wheels is not None).items():
        (debian / name).write_text(text)


def _settle(root: Path) -> None:
    """Rights and times that do not depend on who builds, and when."""
    at = int(os.environ.get("SOURCE_DATE_EPOCH", FIXED_S))
    scripts_of = {root / "DEBIAN" / name for name in ("postinst", "prerm", "postrm")}
    for path in [*root.rglob("*"), root]:
        runs = path.is_dir() or path in scripts_of or (path.name == "tankwatch" and path.is_file())
        path.chmod(0o755 if runs or os.access(path, os.X_OK) and path.stat().st_mode & 0o111 else 0o644)
        os.utime(path, (at, at))


def _dpkg_deb(root: Path, target: Path, compression: str) -> None:
    """Wheels are compressed already: minutes of xz win nothing."""
    env = os.environ | {"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", str(FIXED_S))}
    # One thread: with more, the compressed bytes depend on how many there are.
    command = [
        "dpkg-deb",
        "--root-owner-group",
        "--threads-max=1",
        f"-Z{compression}",
        "--build",
        str(root),
        str(target),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise StoreError(f"dpkg-deb cannot build {target}: {done.stderr.strip()}: make room, or name another --out")
    print(done.stdout.strip(), file=sys.stderr)
