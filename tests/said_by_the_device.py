"""Every sentence that the device's modules can say, read from their source: what stands in text that people may see.

An f-string's places become samples. Where a sentence is put together of several, tests drive the module instead.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import edge_agent

SOURCE = Path(edge_agent.__file__).parent


def sentences(module: str) -> Iterator[str]:
    """Of one module, without docstrings, logs and what the command line says."""
    tree = ast.parse((SOURCE / f"{module}.py").read_text())
    unsaid = {id(part) for node in ast.walk(tree) for part in _unsaid(node)}
    for node in ast.walk(tree):
        if id(node) in unsaid:
            continue
        if isinstance(node, ast.JoinedStr):
            said = "".join(_sample(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
        else:
            continue
        if " " in said.strip() and re.search(r"[a-z]{3}", said):
            yield said


def modules_of(*processes: str) -> set[str]:
    """Those that these processes are made of: whatever they import, and so on."""
    found, waiting = set(), [*processes]
    while waiting:
        module = waiting.pop()
        if module not in found and (SOURCE / f"{module}.py").exists():
            found.add(module)
            waiting += _imported(ast.parse((SOURCE / f"{module}.py").read_text()))
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "edge_agent":
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge_agent."):
            yield str(node.module).split(".")[1]


def _unsaid(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from ast.walk(part)
    if isinstance(node, ast.Call) and _is_for_others(ast.unparse(node.func)):
        yield from ast.walk(node)
    if isinstance(node, ast.AnnAssign):
        yield from ast.walk(node.annotation)


def _is_for_others(function: str) -> bool:
    """Logs, and what only a person at the command line reads."""
    return bool(re.match(r"(log|logging|parser|argparse)\.|print$|_warn$", function))


def _sample(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    spec = "".join(_sample(one) for one in part.format_spec.values) if part.format_spec else ""  # type: ignore[attr-defined]
    return "1.5" if spec.endswith(("f", "g", "d", "%")) else "X1"
