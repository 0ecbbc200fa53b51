"""The import contracts of setup.cfg know every module there is; `./tankwatch check` sees to it that they are kept."""

import ast
import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge_agent", "cloud_sync", "models", "calibration")
DESIGNED_PURE = {"framing", "composite", "visibility", "immersion", "verdict", "compare", "records", "origins"}


def contract(name):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup[f"importlinter:contract:{name}"]


def test_every_module_of_the_device_is_library_or_process():
    processes, library = contract("halves")["layers"].split("\n")[1:]
    assert {path.stem for path in (ROOT / "edge_agent").glob("[!_]*.py")} == set(
        f"{processes} : {library}".split(" : ")
    )


def test_nobody_but_the_device_may_import_any_of_its_processes():
    processes = {f"edge_agent.{name}" for name in contract("halves")["layers"].split("\n")[1].split(" : ")}
    for name in ("calibration", "models", "cloud"):
        assert processes <= set(contract(name)["forbidden_modules"].split())


def test_every_module_that_calls_itself_pure_is_held_to_it():
    held = set(contract("pure")["source_modules"].split())
    said = {
        f"{package}.{path.stem}"
        for package in PACKAGES
        for path in (ROOT / package).glob("*.py")
        if re.search(r"\bPURE\b", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    assert said | {f"edge_agent.{name}" for name in DESIGNED_PURE} == held


def test_pure_modules_are_handed_the_time():
    """datetime may be imported, for times that were handed in are written with it."""
    for module in contract("pure")["source_modules"].split():
        text = (ROOT / (module.replace(".", "/") + ".py")).read_text()
        assert not re.search(r"\.(now|utcnow|today)\(|default_rng\(\)", text), module
