"""ONNX files that no bundle may carry, by name: what points outside, what nests, what claims, what only costs time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEGA = 1 << 20


def sound(shape: tuple[int, int] = (1, 4)) -> onnx.ModelProto:
    """The smallest net that does something."""
    weight = numpy_helper.from_array(np.ones(shape, np.float32), "w")
    node = helper.make_node("Mul", ["x", "w"], ["y"], name="n")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in ("x", "y")]
    graph = helper.make_graph([node], "net", values[:1], values[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def hostile() -> dict[str, bytes]:
    """Name -> bytes."""
    made = {name: make().SerializeToString() for name, make in _MODELS.items()}
    return made | {name: make() for name, make in _BYTES.items()}


def _changed(change: Callable[[onnx.ModelProto], object]) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = sound()
        change(model)
        return model

    return make


def _outside(place: str) -> Callable[[], onnx.ModelProto]:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        for key, value in (("location", place), ("offset", "0"), ("length", "1000000")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return _changed(change)


def _node(operator: str, domain: str = "", **attributes: Any) -> Callable[[], onnx.ModelProto]:
    node = helper.make_node(operator, ["y"], ["z"], domain=domain, **attributes)
    return _changed(lambda model: model.graph.node.append(node))


def _claiming(dims: list[int], **more: Any) -> Callable[[], onnx.ModelProto]:
    tensor = TensorProto(dims=dims, data_type=TensorProto.FLOAT, name="c", **more)
    return _changed(lambda model: model.graph.initializer.append(tensor))


def _elsewhere(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _a_function(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("evil", "F", ["x"], ["y"], nodes, opset))


def _a_sparse_tensor(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**31, 2**31]))


def _metadata(model: onnx.ModelProto) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = "source", "/home/somebody"


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(model.graph)


def _crowd(count: int) -> Callable[[onnx.ModelProto], None]:
    node = helper.make_node("Relu", ["y"], ["y"])
    return lambda model: model.graph.node.extend([node] * count)


_MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "data outside, up": _outside("../../../../etc/passwd"),
    "data outside, absolute": _outside("/etc/passwd"),
    "data outside, beside": _outside("weights.bin"),
    "data said to be outside": _changed(_elsewhere),
    "foreign operator": _node("Evil", "com.evil"),
    "runtime's own operator": _node("FusedMatMul", "com.microsoft"),
    "foreign operator set": _changed(lambda model: model.opset_import.append(helper.make_opsetid("com.evil", 1))),
    "loop": _node("Loop", body=sound().graph),
    "branch": _node("If", then_branch=sound().graph, else_branch=sound().graph),
    "graph hidden in an operator": _node("Relu", body=sound().graph),
    "large from small": _node("ConstantOfShape"),
    "tiled": _node("Tile"),
    "resized": _node("Resize"),
    "random": _node("RandomNormal", shape=[30_000, 30_000]),
    "function": _changed(_a_function),
    "training": _changed(_training),
    "sparse": _changed(_a_sparse_tensor),
    "metadata": _changed(_metadata),
    "pads of a billion": _node("AveragePool", kernel_shape=[2, 2], pads=[0, 1 << 30, 0, 0]),
    "kernel of a million": _node("MaxPool", kernel_shape=[1 << 20, 1 << 20]),
    "split of a million": _node("Split", num_outputs=1 << 20),
    "claims a terabyte": _claiming([1 << 20, 1 << 20]),
    "claims less than nothing": _claiming([-1, 4]),
    "claims past 64 bits": _claiming([1 << 32, 1 << 32, 1 << 32]),
    "claims more than it holds": _claiming([1000], raw_data=b"\0" * 4),
    "holds more than it claims": _claiming([1], raw_data=b"\0" * MEGA),
    "tensor of words": _changed(
        lambda model: model.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], b"w"))
    ),
    "crowd of operators": _changed(_crowd(20_000)),
}


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _nested(*numbers: int, depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        for number in reversed(numbers):
            content = _field(number, content)
    return content


def _graph(content: bytes) -> bytes:
    return sound().SerializeToString() + _field(7, content)


def _only(graph: bytes) -> bytes:
    """A model of one graph."""
    return b"\x08\x0a" + _field(7, graph)


_BYTES: dict[str, Callable[[], bytes]] = {
    "graphs in graphs": lambda: _only(_nested(1, 5, 6, depth=2000)),
    "types in types": lambda: _only(_field(11, _field(2, _nested(4, 1, depth=2000)))),
    "two graphs": lambda: _graph(b""),
    "no graph": lambda: b"\x08\x0a",
    "a million empty words": lambda: b"\x32\x00" * (2 * MEGA - 10),
    "a million empty operators": lambda: _only(b"\x0a\x00" * (2 * MEGA - 10)),
    "a million empty attributes": lambda: _only(_field(1, b"\x2a\x00" * (2 * MEGA - 10))),
    "a million empty tensors": lambda: _only(b"\x2a\x00" * (2 * MEGA - 10)),
    "a million sizes": lambda: _only(_field(5, _field(1, b"\x01" * (4 * MEGA - 50)))),
    "a million integers": lambda: _only(_field(1, _field(5, _field(8, b"\x01" * (4 * MEGA - 50))))),
    "a million large integers": lambda: _only(_field(1, _field(5, _field(8, (b"\xff" * 9 + b"\x01") * 400_000)))),
    "a million integers, one by one": lambda: _only(_field(1, _field(5, b"\x40\x01" * (2 * MEGA - 50)))),
    "varints without end": lambda: b"\x80" * 100_000,
    "lengths past the end": lambda: _varint(7 << 3 | 2) + _varint(2**63) + b"x",
    "groups": lambda: b"\x3b" * 1000,
    "unknown field": lambda: sound().SerializeToString() + _field(999, b"x"),
    "field of zero": lambda: b"\x02\x00",
    "nothing": lambda: b"",
    "zeros": lambda: bytes(MEGA),
    "a program": lambda: b"\x7fELF" + bytes(1000),
    "a web page": lambda: b"<html><script>alert(1)</script></html>",
}
