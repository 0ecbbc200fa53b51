"""docs/security: every requirement of ASVS 5.0 at levels 1 and 2 once, and whatever is named as a test is one."""

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FOLDER = TESTS.parent / "docs" / "security"
ASVS = (FOLDER / "asvs.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+\.\d+\.\d+) \| [^|]+ \| ([12]) \| ([^|]+) \| (.+) \|$", ASVS, re.MULTILINE)
OF_CHAPTER = {
    1: 27,
    2: 11,
    3: 19,
    4: 10,
    5: 9,
    6: 35,
    7: 18,
    8: 7,
    9: 7,
    10: 29,
    11: 14,
    12: 9,
    13: 13,
    14: 9,
    15: 13,
    16: 16,
    17: 7,
}
"""Chapter -> how many requirements of levels 1 and 2 it has in 5.0.0."""
ANSWERS = {"test", "reason", "not applicable", "**not met**"}


def test_every_requirement_is_answered_once():
    numbers = [number for number, *_ in ROWS]
    assert len(numbers) == len(set(numbers)) == sum(OF_CHAPTER.values())
    assert Counter(int(number.split(".")[0]) for number in numbers) == OF_CHAPTER
    assert {answer for _, _, answer, _ in ROWS} == ANSWERS
    told = Counter(answer for _, _, answer, _ in ROWS)
    for answer, count in told.items():
        assert f"| {answer} | {count} |" in ASVS


def test_an_answer_by_test_names_one_and_any_other_says_why():
    for number, _, answer, words in ROWS:
        assert ("::test_" in words) if answer == "test" else len(re.sub(r"`[^`]+`", "", words)) > 3, number


def test_every_test_that_is_named_is_there():
    for page in FOLDER.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for file, name in re.findall(r"`(\w+)\.py::(test_\w+)`", text):
            tree = ast.parse((TESTS / f"test_{file}.py").read_text(encoding="utf-8"))
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert name in names, f"{page.name}: {file}.py::{name}"
        for file in re.findall(r"`(test_\w+\.py)`", text):
            assert (TESTS / file).is_file(), f"{page.name}: {file}"


def test_every_drill_that_is_named_is_there():
    for page in FOLDER.glob("*.md"):
        for name in re.findall(r"`(?:\./tankwatch )?drill (\w+)", page.read_text(encoding="utf-8")):
            assert (TESTS.parent / "benchmarks" / f"drill_{name}.py").is_file(), f"{page.name}: drill {name}"


def test_known_holes_are_looked_for_in_every_lock():
    page = (FOLDER / "supply-chain.md").read_text(encoding="utf-8")
    named = re.findall(r"^for set in ([\w ]+);", page, re.MULTILINE)[0].split()
    assert {f"{name}.txt" for name in [*named, "torch"]} | {"torch-needs.in"} == {
        path.name for path in (TESTS.parent / "locks").iterdir() if path.suffix in (".txt", ".in")
    }
    assert "locks/torch.txt" in page


def test_each_boundary_has_its_page_and_each_page_all_six_letters():
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in FOLDER.glob("*.md")} - {"index.md", "asvs.md"}
    assert set(re.findall(r"\]\((\w[\w-]*\.md)\)", index)) - {"asvs.md"} == pages
    for name in pages:
        letters = re.findall(r"^\| ([STRIDE]) \|", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert set(letters) == set("STRIDE"), name
