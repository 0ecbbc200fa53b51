"""Which language the panel speaks to this browser: `?lang=de` chooses one, and a cookie keeps it."""

from flask import Response, current_app, request

from edge_agent.languages import Language

COOKIE = "tankwatch-language"
KEPT_S = 10 * 365 * 86_400


def spoken() -> Language:
    """To whoever sends this request."""
    languages = current_app.extensions["tankwatch"].languages
    asked = request.args.get("lang", "")
    return languages.chosen(asked if asked in languages.by_code else request.cookies.get(COOKIE))


def keep(response: Response) -> Response:
    """A choice that was made with a page holds for the next ones; what a page asks for by itself chooses nothing."""
    is_page = response.mimetype == "text/html"
    if is_page and request.args.get("lang", "") in current_app.extensions["tankwatch"].languages.by_code:
        response.set_cookie(COOKIE, request.args["lang"], max_age=KEPT_S, samesite="Lax", httponly=True)
    return response


def for_templates() -> dict[str, object]:
    """`word(key)`: a page's own words; `say(sentence)`: what the device said in English; `number(2.1)`."""
    language = spoken()
    known = sorted(current_app.extensions["tankwatch"].languages.by_code.values(), key=lambda one: one.code)
    return {
        "language": language,
        "languages": known,
        "word": language.word,
        "say": language.say,
        "number": language.number,
    }
