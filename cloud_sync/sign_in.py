"""The pages on which somebody signs in and out, and what a page's own script asks when its session has ended."""

from flask import Blueprint, Response, current_app, jsonify, redirect, render_template, request, session, url_for
from flask_login import current_user, logout_user
from flask_wtf.csrf import generate_csrf
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response as AnyResponse

from cloud_sync import accounts, db, kept_form, sessions, throttle
from cloud_sync.accounts import User, needs, noted
from cloud_sync.kept_form import KeptForm
from cloud_sync.throttle import Attempt

blueprint = Blueprint("accounts", __name__)
CLEARED = '"cache"'
"""Videos and pictures, which browsers keep. Not "cookies": that takes those of the whole domain, and with them the
sign-in at the company's other pages. Not "storage": it holds one choice, that of playing without single keys."""
WRONG = "Name and password do not fit. After five attempts, wait a quarter of an hour."


def attempt(engine: Engine, name: str, password: str, address: str, *, now: float) -> User | None:
    """The user, if the password is right; None also where too many were wrong."""
    tried = Attempt(name.replace("\0", "")[:64], address, now)
    if not throttle.admitted(engine, tried):
        return None
    with engine.connect() as connection:
        found = accounts.with_password(connection, tried.who, password)
    throttle.ended(engine, tried, right=found is not None)
    return found


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> AnyResponse | str | tuple[str, int]:
    if request.method == "GET":
        return _sign_in_page()
    name, kept = request.form.get("name", ""), request.form.get("kept", "")
    found = attempt(_engine(), name, request.form.get("password", ""), request.remote_addr or "", now=db.now())
    if found is None:
        return _sign_in_page(fault=WRONG, name=name, kept=kept), 401
    sessions.begin(found)
    form = kept_form.opened(kept, _key())
    return resume_page(form, found) if form else redirect(inside(request.args.get("next", "")) or first_page(found))


@blueprint.post("/login/resume")
def resume() -> AnyResponse | str:
    """Signed in elsewhere meanwhile: back to the kept form. Changes nothing, so it needs no form token."""
    kept = request.form.get("kept", "")
    form = kept_form.opened(kept, _key())
    if form is None:
        return redirect(url_for("review.start"))
    if not current_user.is_authenticated:
        return _sign_in_page(kept=kept, fault="Nobody is signed in yet.")
    return resume_page(form, current_user)


@blueprint.get("/session")
def session_now() -> Response | tuple[Response, int]:
    """For a page that has met 401: who is signed in by now, and the form token that holds."""
    if not current_user.is_authenticated:
        return sessions.fault_json(401, "signed_out", "Nobody is signed in.")
    return jsonify(name=current_user.name, role=current_user.role, csrf_token=generate_csrf())


@blueprint.get("/signed-in")
@needs()
def signed_in() -> str:
    """Where a sign-in in a second tab ends."""
    return render_template("signed_in.html")


@blueprint.post("/logout")
@needs()
def logout() -> AnyResponse:
    with _engine().begin() as connection:
        sessions.end(connection, current_user.name, sessions.own_key())
        noted(connection, "sign_out")
    logout_user()
    session.clear()
    response = redirect(url_for("accounts.login"))
    response.headers["Clear-Site-Data"] = CLEARED
    return response


def first_page(user: User) -> str:
    """Where this user's work is."""
    return url_for("review.queue" if user.may("expert") else "cases.case_list")


def inside(target: str) -> str | None:
    """A page of ours to go on to; never another site, whatever browsers make of backslashes and control characters."""
    ours = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if ours else None


def resume_page(form: KeptForm, user: User) -> str:
    """What was typed, with a button to send it; without one where somebody else had typed it."""
    return render_template("resume.html", form=form, foreign=form.who not in ("", user.name))


def _sign_in_page(*, fault: str | None = None, name: str = "", kept: str = "") -> str:
    return render_template("login.html", fault=fault, name=name, kept=kept, expired=False, lost=False)


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine


def _key() -> str:
    return str(current_app.secret_key)
