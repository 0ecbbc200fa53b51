"""The page Value: a plant's costs -> limits to recommend and what they save, with an honest interval."""

from collections.abc import Mapping

import msgspec
from flask import Blueprint, current_app, render_template, request

from cloud_sync import tallies, value
from cloud_sync.accounts import needs
from cloud_sync.agreement_pages import chosen
from cloud_sync.value import Costs

blueprint = Blueprint("value", __name__)
FIELDS = (
    ("miss", "Cost of a miss", "a leaking unit that is passed", "500"),
    ("false_alarm", "Cost of a false alarm", "a good unit that is rejected", "20"),
    ("expert_minute", "An expert's minute", "in the same currency", "1"),
    ("minutes_a_case", "Minutes a case", "that an expert needs", "0.5"),
    ("inspector_a_unit", "Inspector, a unit", "0 if the inspector stays", "0"),
    ("units_a_day", "Units a day", "", "1000"),
    ("days_a_year", "Working days a year", "", "250"),
    ("leaking", "Leaking units, per cent", "empty: as in these cases", ""),
)
"""Name, label, what it means, what stands there at first."""


@blueprint.get("/value")
@needs("viewer")
def page() -> tuple[str, int] | str:
    """Nothing is kept: the address holds what was asked, so that it can be passed on."""
    shelf = current_app.extensions["tankwatch"]
    choice, fault = chosen(request.args)
    with shelf.engine.connect() as connection:
        stations = tallies.stations(connection)
    asked = {name: request.args.get(name, first) for name, _, _, first in FIELDS}
    about = {"fields": FIELDS, "asked": asked, "station": choice.station, "stations": stations}
    if "miss" not in request.args:
        return render_template("value.html", **about, found=None, fault=fault)
    try:
        costs = _costs(asked)
    except ValueError as error:
        return render_template(
            "value.html", **about, found=None, fault=f"These costs are not understood: {error}."
        ), 400
    with shelf.engine.connect() as connection:
        found = value.saving(tallies.scored(connection, choice), costs)
    return render_template("value.html", **about, found=found, fault=fault)


def _costs(asked: Mapping[str, str]) -> Costs:
    """Raises ValueError with words for a person. A comma is taken for a point."""
    numbers: dict[str, float | None] = {}
    for name, label, _, _ in FIELDS:
        text = asked[name].strip().replace(",", ".")
        try:
            numbers[name] = float(text) if text or name != "leaking" else None
        except ValueError:
            raise ValueError(f"“{label}” is no number") from None
    share = numbers["leaking"]
    numbers["leaking"] = None if share is None else share / 100
    try:
        return msgspec.convert(numbers, type=Costs)
    except msgspec.ValidationError as error:
        labels = {name: label for name, label, _, _ in FIELDS}
        words = str(error).partition(" - at `$.")
        raise ValueError(f"“{labels.get(words[2].rstrip('`'), 'a cost')}”: {words[0].lower()}") from error


@blueprint.app_template_filter("money")
def money(amount: float | None) -> str:
    """Three figures are more than such a number is worth."""
    if amount is None:
        return "too few to say"
    rounded = float(f"{amount:.3g}")
    return f"{rounded:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")
