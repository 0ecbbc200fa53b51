"""The code -> docs/reference/*.md: every command with its options, every key of every configuration file, every topic.

`write` makes the pages anew; a test holds them to the code.
"""

import ast
import contextlib
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unittest import mock

import msgspec
import yaml

import tankwatch

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
WIDTH = 100
TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false"}
GENERATED = "Made from the code by `./tankwatch docs`: do not edit."
ELSEWHERE = {"check": "It takes no options.", "test": "Its options are pytest's; `--full` adds the long tests."}
"""Commands that hand on to other programs."""
CHOICES = re.compile(r"^usage: (?:\./)?tankwatch[^{]*?\{([a-z_,-]+)\}", re.S)
CONFIGS = (
    ("device.toml", "edge_agent.config", "DeviceConfig", "The device: read by every `agent` process."),
    (
        "station.toml",
        "edge_agent.station",
        "StationProfile",
        "The station: written by commissioning, read by the rest.",
    ),
    ("cloud.toml", "cloud_sync.config", "CloudConfig", "The cloud: read by every `cloud` process."),
    ("policy.toml", "cloud_sync.policy", "Policy", "What people decide on: sampling, routing, promotion, automation."),
)


def write() -> None:
    """All pages; those that are right already stay as they are."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, page in MADE.items():
        path, text = PAGES / name, page()
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def commands_page() -> str:
    """Every command as its own --help tells it."""
    parts = [
        "# Commands",
        GENERATED,
        "`./tankwatch` at the root of the checkout, or `tankwatch` where it is installed.",
    ]
    for path, said in commands():
        parts += [f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}", f"```text\n{said.rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[tuple[tuple[str, ...], str]]:
    """(command and sub-commands, its help), from the front door's own table on."""
    with mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH)}):
        for name, (_, words) in tankwatch.COMMANDS.items():
            if name in ELSEWHERE:
                yield (name,), f"{words}. {ELSEWHERE[name]}"
            else:
                yield from _with_subcommands((name,), "")


def _with_subcommands(path: tuple[str, ...], parent: str) -> Iterator[tuple[tuple[str, ...], str]]:
    said = _help(path)
    if not said or said == parent:
        return
    yield path, said
    match = CHOICES.match(said)
    for name in match[1].split(",") if match and len(path) < 3 else ():
        yield from _with_subcommands((*path, name), said)


def _help(path: tuple[str, ...]) -> str:
    """What the command prints for --help; empty where it takes none."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        tankwatch.main([*path, "--help"])
    return out.getvalue()


def configuration_page() -> str:
    """Every key with its type, default and meaning, as the records have them."""
    parts = [
        "# Configuration",
        GENERATED,
        "TOML. Unknown keys are errors that name them; secrets stand in the environment.",
    ]
    for file, module, name, words in CONFIGS:
        loaded = importlib.import_module(module)
        parts += [f"## {file}", words, *_tables(getattr(loaded, name), "")]
    return "\n\n".join(parts) + "\n"


def _tables(kind: type, prefix: str) -> Iterator[str]:
    """The record's own keys, then those of each record within it."""
    rows, inner = [], []
    told = _field_words(kind)
    for field in msgspec.structs.fields(kind):
        within = _record_in(field.type)
        if within and not _is_list(field.type):
            inner.append((f"{prefix}{field.encode_name}.", within))
            continue
        rows.append(
            (
                f"`{prefix}{field.encode_name}`",
                _type_words(field.type).strip(),
                _default_words(field),
                told.get(field.name, ""),
            )
        )
        if within:
            inner.append((f"{prefix}{field.encode_name}[].", within))
    if rows:
        head = inspect.getdoc(kind) or ""
        yield (f"### [{prefix.rstrip('.')}]\n\n{head}\n\n" if prefix else "") + _markdown(
            ("key", "type", "default", "meaning"), rows
        )
    for name, within in inner:
        yield from _tables(within, name)


def _record_in(kind: Any) -> type | None:
    """The record that a field is, may be, or lists."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    found = (_record_in(part) for part in getattr(kind, "__args__", ()))
    return next((one for one in found if one), None)


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) in (tuple, list, dict)


def _type_words(kind: Any) -> str:
    """A type as a person writes it in TOML."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join([_type_words(parts[0]), *(_limits(one) for one in parts[1:] if isinstance(one, msgspec.Meta))])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in parts)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(part) for part in parts if part is not NoneType)
    if origin is tuple and Ellipsis not in parts:
        return f"[{', '.join(_type_words(part) for part in parts)}]"
    if origin is dict:
        return "table"
    if origin in (tuple, list, frozenset):
        return f"list: {_type_words(parts[0])}"
    return TYPES.get(kind, "table")


def _limits(meta: msgspec.Meta) -> str:
    """Patterns are told in words beside the field."""
    signs = (("above", meta.gt), ("from", meta.ge), ("below", meta.lt), ("to", meta.le))
    return " ".join(f"{word} {value:g}" for word, value in signs if value is not None)


def _default_words(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        value = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        return "needed"
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        value = [msgspec.to_builtins(one) for one in value]
    return f"`{msgspec.json.encode(value).decode()}`".replace("|", "\\|")


def _field_words(kind: type) -> dict[str, str]:
    """Field -> the words below it in the source, of the record and of what it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        if base.__module__.startswith(("edge_agent", "cloud_sync")):
            found |= _words_in(_class_of(importlib.import_module(base.__module__), base.__name__))
    return found


def _class_of(module: ModuleType, name: str) -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(module))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _words_in(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, words in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(words):
            found[field.target.id] = _sentence(ast.literal_eval(words.value))  # type: ignore[attr-defined]
    return found


def _sentence(words: str) -> str:
    """None is Python's word: in TOML a key is left out."""
    return re.sub(r"\bNone = ", "Left out: ", " ".join(words.split()))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def topics_page() -> str:
    """Every topic and the fields of its message, from docs/asyncapi.yaml."""
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
    parts = ["# Topics", GENERATED, "MQTT 3.1.1 or 5, QoS 1, JSON. The machine-readable description is "
             "[asyncapi.yaml](../asyncapi.yaml). Fields that are not listed may come at any time."]  # fmt: skip
    schemas = document["components"]["schemas"]
    for name, channel in document["channels"].items():
        kept = " Retained." if channel.get("x-retained") else ""
        parts += [f"## {channel['address']}", channel["description"] + kept]
        message = document["components"]["messages"][name]
        parts += _message_fields(message.get("payload", {}), schemas)
    return "\n\n".join(parts) + "\n"


def _message_fields(payload: dict, schemas: dict) -> list[str]:
    schema = schemas[payload["$ref"].rpartition("/")[2]] if "$ref" in payload else payload
    needed = set(schema.get("required", ()))
    rows = [
        (f"`{name}`", _schema_words(field), "yes" if name in needed else "")
        for name, field in schema.get("properties", {}).items()
    ]
    return [_markdown(("field", "type", "always there"), rows)] if rows else []


def _schema_words(field: dict) -> str:
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    if "enum" in field:
        return " ".join(f"`{one}`" for one in field["enum"] if one is not None)
    if "anyOf" in field:
        return " or ".join(_schema_words(one) for one in field["anyOf"])
    if "const" in field:
        return f"`{field['const']}`"
    return str(field.get("type", "")).replace("null", "none")


def _markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


MADE = {"commands.md": commands_page, "configuration.md": configuration_page, "topics.md": topics_page}
"""File name -> what makes its text."""
