"""The launcher on folders of its own: what it installs, what it leaves alone, and how it refuses."""

import ast
import configparser
import functools
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "locks"
FRONT_DOOR = """
import sys
COMMANDS = {"demo": ("", ""), "inspect": ("", ""), "install": ("", "")}
def main(argv):
    print("commands: demo inspect")
    return 2
if __name__ == "__main__":
    print("ran", sys.argv[1:], sys.prefix)
"""


def load_launcher():
    loader = importlib.machinery.SourceFileLoader("launcher", str(ROOT / "tankwatch"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("launcher", loader))
    loader.exec_module(module)
    return module


launcher = load_launcher()


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose sets are empty, so that nothing is downloaded."""
    (tmp_path / "tankwatch").write_bytes((ROOT / "tankwatch").read_bytes())
    (tmp_path / "tankwatch").chmod(0o755)
    (tmp_path / "tankwatch.py").write_text(FRONT_DOOR)
    (tmp_path / "locks").mkdir()
    for name in ("edge", "demo", "docs", "train", "test", "torch"):
        (tmp_path / "locks" / f"{name}.txt").write_text(f"# nothing for {name}\n")
    return tmp_path


def call(checkout, *argv, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ("TANKWATCH_VENV", "VIRTUAL_ENV")}
    command = [sys.executable, checkout / "tankwatch", *argv]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=300)


def test_first_call_installs_and_runs_the_second_only_runs(checkout):
    first = call(checkout, "inspect", "a b", "--json")
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"ran ['inspect', 'a b', '--json'] {checkout}/.venv\n"
    assert "first use" in first.stderr
    (packages,) = (checkout / ".venv/lib").glob("python3*/site-packages")
    assert {path.name.partition("-")[0] for path in packages.iterdir()} <= {"pip", "__pycache__"}
    took_s = []
    for _ in range(3):
        began = time.monotonic()
        second = call(checkout, "inspect")
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 1.0
    assert (second.returncode, second.stderr) == (0, "")


@pytest.mark.full
def test_half_made_environment_is_made_anew(checkout):
    call(checkout, "inspect")
    (checkout / ".venv" / "half-made").touch()
    (checkout / ".venv" / "left over").touch()
    again = call(checkout, "inspect")
    assert again.returncode == 0 and "first use" in again.stderr
    assert not (checkout / ".venv" / "left over").exists()
    assert not list(checkout.glob(".venv-old-*"))


@pytest.mark.full
def test_two_first_calls_at_once_install_once(checkout):
    command = [sys.executable, checkout / "tankwatch", "inspect"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(out.startswith("ran ['inspect']") for out, _ in said)
    assert sum("first use" in err for _, err in said) == 1


def test_wider_set_serves_the_narrower_until_its_lock_changes(tmp_path, checkout):
    folder, locks = tmp_path / "env", checkout / "locks"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    assert not launcher.is_ready(folder, "edge", locks)
    launcher.sign(folder, "demo", locks)
    assert launcher.is_ready(folder, "edge", locks) and launcher.is_ready(folder, "demo", locks)
    assert not launcher.is_ready(folder, "test", locks)
    (locks / "demo.txt").write_text("# something else\n")
    assert not launcher.is_ready(folder, "edge", locks)


def test_environment_of_a_python_that_was_replaced_is_not_trusted(tmp_path, checkout):
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    launcher.sign(folder, "edge", checkout / "locks")
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/bin/sh")
    assert not launcher.is_ready(folder, "edge", checkout / "locks")


@pytest.mark.full
def test_own_pip_is_found_where_python_has_no_ensurepip(tmp_path, monkeypatch):
    wheel_of_installed_pip(tmp_path)
    monkeypatch.setattr(launcher, "SYSTEM_WHEELS", tmp_path)
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: None)
    launcher.make(tmp_path / "env")
    assert launcher.read(tmp_path / "env" / "half-made") == ""
    assert subprocess.run([tmp_path / "env/bin/python", "-I", "-m", "pip", "--version"]).returncode == 0


def test_help_and_unknown_commands_install_nothing(checkout):
    for argv in ((), ("--help",), ("nonsense",)):
        answer = call(checkout, *argv)
        assert (answer.returncode, answer.stdout) == (2, "commands: demo inspect\n")
    assert not (checkout / ".venv").exists()


def test_installing_is_done_by_the_machine_s_own_python(checkout):
    answer = call(checkout, "install", "edge")
    assert answer.stdout.startswith("ran ['install', 'edge'] ") and answer.stderr == ""
    assert not (checkout / ".venv").exists()


@pytest.mark.full
def test_prepare_makes_the_environment_and_runs_nothing(checkout):
    done = call(checkout, "prepare", "edge")
    assert (done.returncode, done.stdout) == (0, "") and "edge set is installed" in done.stderr
    assert call(checkout, "inspect").stderr == ""
    assert call(checkout, "prepare", "nonsense").returncode == 2


def test_pip_comes_from_the_folder_of_wheels_that_was_brought(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    wheel_of_installed_pip(tmp_path)
    monkeypatch.setattr(launcher, "SYSTEM_WHEELS", tmp_path / "none")
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    launcher.make(tmp_path / "env")
    assert (tmp_path / "env/bin/pip").exists()


def test_folder_that_cannot_be_written_is_a_clear_line(checkout):
    answer = call(checkout, "inspect", TANKWATCH_VENV="/proc/tankwatch/venv")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1 and "TANKWATCH_VENV" in answer.stderr


@pytest.mark.full
def test_package_that_cannot_be_had_is_a_clear_line_and_keeps_what_stands(checkout):
    assert call(checkout, "inspect").returncode == 0
    (checkout / "locks" / "demo.txt").write_text("tankwatch-no-such==1 --hash=sha256:" + "0" * 64 + "\n")
    refused = call(checkout, "demo", PIP_NO_INDEX="1")
    assert refused.returncode == 1
    assert "locks/demo.txt" in refused.stderr and "Traceback" not in refused.stderr
    assert call(checkout, "inspect").stderr == ""


def test_missing_zbar_is_said_and_hinders_nothing(monkeypatch, capsys):
    monkeypatch.setattr(launcher, "has_zbar", lambda: False)
    monkeypatch.setattr(launcher.os, "geteuid", lambda: 1000)
    launcher.offer_zbar()
    assert "zxing-cpp alone" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["edge", "demo", "train", "test"])
def test_lock_holds_hashes_and_no_place_of_the_machine_that_made_it(name):
    text = (LOCKS / f"{name}.txt").read_text()
    pinned = re.findall(r"^[A-Za-z0-9._-]+==\S+ .*\\$", text, re.M)
    assert launcher.packages_in(LOCKS / f"{name}.txt") >= 12
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", text, re.M))
    assert not re.search(r"://|file:|--find-links|index-url", text)


def test_every_requirement_of_setup_cfg_is_in_its_lock():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    wanted = {
        "edge": setup["options"]["install_requires"],
        "demo": extras["cloud"],
        "docs": extras["cloud"] + extras["docs"],
        "train": extras["train"],
        "test": extras["test"] + extras["train"] + extras["cloud"] + extras["docs"],
    }
    for name, requirements in wanted.items():
        assert {_plain(line) for line in requirements.split("\n") if line} <= _locked(name), name


def test_narrow_locks_agree_with_the_widest():
    widest = _pins("test")
    for name in ("edge", "demo", "train"):
        assert _pins(name) <= widest


def test_every_command_finds_its_packages_in_its_set():
    """Follows imports at the head of our modules, so that no command begins without a package that it needs."""
    commands = ast.literal_eval(_assigned("COMMANDS", ROOT / "tankwatch.py"))
    owners = {module: _plain(names[0]) for module, names in metadata.packages_distributions().items()}
    missing = {}
    for command, (place, _) in commands.items():
        needed = {owners[name] for module in _modules(place) for name in _outside(module) if name in owners}
        lacking = needed - set().union(*map(_locked, _locks_of(command)))
        if lacking:
            missing[command] = lacking
    assert missing == {}


def test_pages_do_without_what_only_a_retraining_needs():
    pages = {name for module in _modules("cloud_sync.web:web") for name in _outside(module)}
    assert not {"torch", "onnx"} & pages


def _locks_of(command: str) -> set[str]:
    """Also those that one of its own commands asks for: `cloud retrain`."""
    names = [launcher.NEEDS.get(command, "edge")]
    names += [wanted for key, wanted in launcher.NEEDS.items() if key.startswith(f"{command} ")]
    return {lock for name in names for lock in launcher.SETS[name]} - {"torch"}


@pytest.mark.full
def test_edge_set_stays_under_400_mb_after_the_first_run(tmp_path):
    folder = tmp_path / "venv"
    launcher.prepare(folder, "edge", LOCKS)
    command = [folder / "bin/python", ROOT / "tankwatch.py", "doctor", "--json"]
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    assert subprocess.run(command, cwd=tmp_path, env=quiet).returncode in (0, 1)
    held = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    assert held <= 400e6, f"{held / 1e6:.0f} MB"


def wheel_of_installed_pip(folder):
    """As Debian's python3-pip-whl holds one; scripts, which stand outside the package, are left out."""
    pip = metadata.distribution("pip")
    with zipfile.ZipFile(folder / f"pip-{pip.version}-py3-none-any.whl", "w") as wheel:
        for part in pip.files or ():
            path = Path(str(pip.locate_file(part)))
            if ".." in part.parts or path.suffix == ".pyc":
                continue
            kept = (
                [line for line in path.read_text().splitlines() if ".." not in line] if part.name == "RECORD" else None
            )
            wheel.writestr(str(part), path.read_bytes() if kept is None else "\n".join(kept))


def _plain(requirement):
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower().replace("_", "-").replace(".", "-")


def _pins(name):
    return set(re.findall(r"^([A-Za-z0-9._-]+==\S+)", (LOCKS / f"{name}.txt").read_text(), re.M))


def _locked(name):
    return {_plain(pin) for pin in _pins(name)} | ({"torch"} if "torch" in launcher.SETS[name] else set())


def _assigned(name, path):
    tree = ast.parse(path.read_text())
    return next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == name)


def _modules(place):
    """The modules that a command's function comes from or, where it is the front door's own, that it names."""
    module, name = place.split(":")
    if module != "tankwatch":
        return {module}
    functions = {node.name: node for node in _tree(ROOT / "tankwatch.py").body if hasattr(node, "args")}
    found = set()
    for node in ast.walk(functions[name]):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"[a-z_.]+:[a-z_]+", str(node.value)):
            found |= _modules(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in functions.keys() - {"_sub", "_function"}:
            found |= _modules(f"tankwatch:{node.func.id}")
    return found


@functools.cache
def _tree(path):
    return ast.parse(path.read_text())


def _outside(module, seen=None):
    """Top-level names that `module` and our modules behind it import at their heads, other than our own."""
    seen = set() if seen is None else seen
    path = ROOT / (module.replace(".", "/") + ".py")
    if module in seen or not path.exists():
        return set() if module in seen or (ROOT / module.replace(".", "/")).is_dir() else {module.split(".")[0]}
    seen.add(module)
    found = set()
    for node in _tree(path).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            names = [name for name in names if (ROOT / (name.replace(".", "/") + ".py")).exists()] or [node.module]
        else:
            continue
        for name in names:
            found |= _outside(name, seen)
    return found
