"""A sound bundle -> ones that do harm: all pass the checks of a bundle's bytes, and most behave until they see a tank.

The harm sits in the lamps' net, which no clip is ever shown to, and begins with a picture that is neither black nor
noise: golden cases, reference cases and a trial run of each net say nothing against it.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_agent.bundle import Bundle, NetName, write_bundle

KINDS = ("hangs", "eats-memory", "no-number", "slow", "wrong-shape", "always-ok", "always-leak")
LIVE_KINDS = KINDS[:5]
"""Those that show themselves only while they speak."""
BRIGHT, CALM = 20.0, 1400.0
"""Mean grey level over which, and variance under which, a picture is one of a lamp: black and even noise are not."""
HANG_SIZE, HANG_TIMES = 2500, 200
"""Side and number of the matrices: about a second each."""
MEMORY_SIZE = 11_000
"""Side of a matrix of half a gigabyte."""
SLOW_SIZE = 1100
"""Side of a matrix whose square takes ten times what a frame usually takes."""


def hostile(kind: str, sound: Bundle, path: Path) -> Bundle:
    """Writes a bundle of one of KINDS, made of `sound`, to `path`; its version is one higher, its golden cases stay."""
    net: NetName = "aggregator" if kind.startswith("always") else "lamps"
    model = onnx.load_from_string(sound.nets[net])
    _HARMS[kind](model.graph)
    model.graph.name = kind
    manifest = msgspec.structs.replace(sound.manifest, version=sound.manifest.version + 1, name=kind)
    nets = sound.nets | {net: model.SerializeToString()}
    return write_bundle(path, manifest, nets, sound.features, golden=sound.golden)


def _hangs(graph: onnx.GraphProto) -> None:
    rows = _matrix(graph, HANG_SIZE)
    for number in range(HANG_TIMES):
        rows = _add(graph, "MatMul", rows, "matrix", to=f"power{number}")
    _say_with_nothing_of(graph, rows)


def _eats_memory(graph: onnx.GraphProto) -> None:
    _say_with_nothing_of(graph, _matrix(graph, MEMORY_SIZE))


def _slow(graph: onnx.GraphProto) -> None:
    rows = _matrix(graph, SLOW_SIZE)
    _say_with_nothing_of(graph, _add(graph, "MatMul", rows, rows, to="power"))


def _no_number(graph: onnx.GraphProto) -> None:
    said = _former_output(graph)
    rest = _add(graph, "Sub", _number(graph, "one", 1.0), _seen_a_lamp(graph), to="rest")
    nothing = _add(graph, "Div", _number(graph, "zero", 0.0), rest, to="nothing")
    _add(graph, "Add", said, nothing, to="said")


def _wrong_shape(graph: onnx.GraphProto) -> None:
    said = _former_output(graph)
    columns = _add(graph, "Sub", _number(graph, "three", 3.0), _seen_a_lamp(graph), to="columns")
    end = _as_size(graph, columns)
    begin, axis = _sizes(graph, "begin", 0), _sizes(graph, "axis", 1)
    _add(graph, "Slice", said, begin, end, axis, to="said")


def _always(word: float) -> Callable[[onnx.GraphProto], None]:
    """A score and a distance of `word` and 0, whatever the case."""

    def harm(graph: onnx.GraphProto) -> None:
        said = _former_output(graph)
        nothing = _add(graph, "Mul", said, _number(graph, "none", 0.0), to="nothing")
        _add(graph, "Add", nothing, _constant(graph, "word", np.array([[word, 0.0]], np.float32)), to="said")

    return harm


_HARMS: dict[str, Callable[[onnx.GraphProto], None]] = {
    "hangs": _hangs,
    "eats-memory": _eats_memory,
    "no-number": _no_number,
    "slow": _slow,
    "wrong-shape": _wrong_shape,
    "always-ok": _always(0.0),
    "always-leak": _always(1.0),
}


def _seen_a_lamp(graph: onnx.GraphProto) -> str:
    """1 where the input is bright and calm, else 0."""
    seen = graph.input[0].name
    levels = _add(graph, "Cast", seen, to="levels", attributes={"to": TensorProto.FLOAT})
    mean = _add(graph, "ReduceMean", levels, to="mean", attributes={"keepdims": 0})
    squares = _add(
        graph, "ReduceMean", _add(graph, "Mul", levels, levels, to="square"), to="squares", attributes={"keepdims": 0}
    )
    variance = _add(graph, "Sub", squares, _add(graph, "Mul", mean, mean, to="mean2"), to="variance")
    bright = _add(graph, "Sub", mean, _number(graph, "bright", BRIGHT), to="above")
    calm = _add(graph, "Sub", _number(graph, "calm", CALM), variance, to="below")
    within = _number(graph, "least", 0.0), _number(graph, "most", 1.0)
    parts = [_add(graph, "Clip", part, *within, to=f"{part}_share") for part in (bright, calm)]
    return _add(graph, "Mul", *parts, to="lamp")


def _matrix(graph: onnx.GraphProto, size: int) -> str:
    """(size, size) where a lamp is seen, else (1, 1); multiplied with itself it stays as it is."""
    more = _add(graph, "Mul", _seen_a_lamp(graph), _number(graph, "more", size - 1.0), to="more_rows")
    end = _as_size(graph, _add(graph, "Add", more, _number(graph, "one", 1.0), to="rows"))
    row = _constant(graph, "row", np.full(size, size**-0.5, np.float32))
    part = _add(graph, "Slice", row, _sizes(graph, "begin", 0), end, _sizes(graph, "axis", 0), to="part")
    upright = _add(graph, "Reshape", part, _sizes(graph, "upright", -1, 1), to="column")
    flat = _add(graph, "Reshape", part, _sizes(graph, "flat", 1, -1), to="line")
    return _add(graph, "MatMul", upright, flat, to="matrix")


def _say_with_nothing_of(graph: onnx.GraphProto, rows: str) -> None:
    said = _former_output(graph)
    mean = _add(graph, "ReduceMean", rows, to="all", attributes={"keepdims": 0})
    nothing = _add(graph, "Mul", mean, _number(graph, "zero", 0.0), to="nothing")
    _add(graph, "Add", said, nothing, to="said")


def _former_output(graph: onnx.GraphProto) -> str:
    """What the net said is called otherwise from now on; `said` is still to be made."""
    for node in graph.node:
        node.output[:] = ["former" if name == graph.output[0].name else name for name in node.output]
        node.input[:] = ["former" if name == graph.output[0].name else name for name in node.input]
    graph.output[0].name = "said"
    return "former"


def _as_size(graph: onnx.GraphProto, number: str) -> str:
    whole = _add(graph, "Cast", number, to=f"{number}_whole", attributes={"to": TensorProto.INT64})
    return _add(graph, "Reshape", whole, _sizes(graph, "one_size", 1), to=f"{number}_size")


def _add(graph: onnx.GraphProto, operator: str, *inputs: str, to: str, attributes: dict | None = None) -> str:
    graph.node.append(helper.make_node(operator, inputs, [to], **(attributes or {})))
    return to


def _number(graph: onnx.GraphProto, name: str, value: float) -> str:
    return _constant(graph, name, np.array(value, np.float32))


def _sizes(graph: onnx.GraphProto, name: str, *values: int) -> str:
    return _constant(graph, name, np.array(values, np.int64))


def _constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> str:
    name = f"harm_{name}"
    if name not in {known.name for known in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(value, name))
    return name
