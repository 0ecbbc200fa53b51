"""The catalogue of alarms: whole, held together with the code, and changed by a plant within bounds only."""

import ast
from pathlib import Path

import msgspec
import pytest

from edge_agent import alarm_catalogue
from edge_agent.alarm_catalogue import Settings, shipped, with_settings
from edge_agent.errors import ConfigError

CODE = Path(__file__).resolve().parent.parent / "edge_agent"


def raised_by_the_code() -> set[str]:
    """Every id that a module gives to a Condition, as a literal, as a constant of its own or as a key of a table."""
    found = set()
    for path in CODE.glob("*.py"):
        text = path.read_text()
        if "Condition(" not in text or path.name == "alarms.py":
            continue
        tree = ast.parse(text)
        constants = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if getattr(call.func, "id", "") != "Condition":
                continue
            (value,) = (word.value for word in call.keywords if word.arg == "id")
            if isinstance(value, ast.Constant):
                found.add(value.value)
            elif value.id in constants:
                found.add(constants[value.id])
            else:
                assert path.name == "selfreport.py", f"{path.name} raises alarms that no test can name"
        if path.name == "selfreport.py":
            (table,) = (n for n in ast.walk(tree) if isinstance(n, ast.Dict) and any(_is(k, "mode") for k in n.keys))
            found |= {key.value for key in table.keys}
    return found


def _is(key: ast.expr | None, word: str) -> bool:
    return isinstance(key, ast.Constant) and key.value == word


def test_every_alarm_that_is_raised_is_in_the_catalogue_and_the_other_way_round():
    assert raised_by_the_code() == set(shipped().alarm)


def test_every_alarm_says_what_follows_and_what_to_do_and_its_rules_fit_together():
    for id, rule in shipped().alarm.items():
        assert rule.cause and rule.consequence and rule.action and rule.rationale, id
        assert rule.above is None or rule.below is None, id
        assert rule.limit is not None or not (rule.dead_band or rule.unit), id
        for parent in rule.suppressed_by:
            assert (
                shipped().alarm[parent].raised_by == rule.raised_by
                and not shipped().alarm[parent].suppressed_by
                or (set(shipped().alarm[parent].suppressed_by) < set(rule.suppressed_by))
            ), id


def changed(text: str) -> alarm_catalogue.Catalogue:
    return with_settings(shipped(), alarm_catalogue.parse(text.encode()))


def test_a_plant_changes_what_it_may():
    found = changed(
        "operators = 3\n[alarm.camera]\npriority = 'medium'\noff_delay_s = 30\n"
        "[alarm.challenger]\nlimit = 4\ndead_band = 2\n[alarm.lamps]\nout_of_service = true\n"
    )
    assert (found.alarm["camera"].priority, found.alarm["camera"].off_delay_s) == ("medium", 30.0)
    assert (found.alarm["challenger"].above, found.alarm["challenger"].dead_band) == (4.0, 2.0)
    assert found.alarm["lamps"].out_of_service and found.figures.operators == 3
    assert found.alarm["picture"] == shipped().alarm["picture"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[alarm.camera]\ncolour = 'red'", "colour"),
        ("[alarm.camera]\ncause = 'x'", "cause"),
        ("[alarm.camra]\non_delay_s = 1", "no alarm 'camra': alarm-settings, bundle, camera"),
        ("[alarm.camera]\npriority = 'urgent'", "urgent"),
        ("[alarm.camera]\npriority = 'low'", "one step"),
        ("[alarm.camera]\non_delay_s = 61", "0 to 60"),
        ("[alarm.camera]\noff_delay_s = 601", "0 to 600"),
        ("[alarm.camera]\non_delay_s = nan", "on_delay_s"),
        ("[alarm.camera]\nlimit = 3", "no limit of its own"),
        ("[alarm.challenger]\nlimit = 5", "1 to 4"),
        ("[alarm.challenger]\nlimit = nan", "1 to 4"),
        ("[alarm.challenger]\ndead_band = 3", "0 to 2"),
        ("[alarm.unit]\nout_of_service = true", "may not be put out of service"),
        ("operators = 0", "operators"),
        ("[alarm.camera", "not usable"),
    ],
)
def test_what_it_may_not_change_is_refused_with_the_bounds(text, words):
    with pytest.raises(ConfigError, match=words):
        changed(text)


def test_settings_are_written_as_they_are_read():
    text = b"operators = 2\n\n[alarm.camera]\noff_delay_s = 30.0\n\n[alarm.lamps]\nout_of_service = true\n"
    settings = alarm_catalogue.parse(text)
    assert alarm_catalogue.parse(alarm_catalogue.dump(settings)) == settings
    assert alarm_catalogue.parse(alarm_catalogue.dump(Settings())) == Settings()


def test_the_table_in_the_documents_is_the_catalogues():
    told = (CODE.parent / "docs" / "alarms.md").read_text(encoding="utf-8")
    assert alarm_catalogue.table() in told
    longest = msgspec.structs.asdict(shipped().longest_shelf_s)
    assert all(f"{priority} {seconds / 3600:g} h" in told for priority, seconds in longest.items())
