"""Bundles whose nets misbehave in one way each, and pass every check of their bytes."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_agent.bundle import Bundle, write_bundle


def with_net(path: Path, bundle: Bundle, name: str, data: bytes, **changes) -> Path:
    manifest = msgspec.structs.replace(bundle.manifest, version=66, **changes)
    write_bundle(path, manifest, bundle.nets | {name: data}, golden=bundle.golden)
    return path


def heavy(data: bytes, side: int, times: int) -> bytes:
    """The same answers, after `times` products of matrices of `side` that depend on the input."""
    model = onnx.load_from_string(data)
    column = np.full((1, 1, side, 1), 1e-6, np.float32)
    constants = {"hv_column": column, "hv_row": column.reshape(1, 1, 1, side), "hv_none": np.zeros((1,), np.float32)}
    nodes = [
        helper.make_node("Cast", [model.graph.input[0].name], ["hv_in"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["hv_in"], ["hv_mean"], keepdims=1),
        helper.make_node("Mul", ["hv_column", "hv_mean"], ["hv_seen"]),
        helper.make_node("MatMul", ["hv_seen", "hv_row"], ["hv_0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"hv_{n}", f"hv_{n}"], [f"hv_{n + 1}"]) for n in range(times)]
    nodes += [
        helper.make_node("ReduceMean", [f"hv_{times}"], ["hv_all"], keepdims=1),
        helper.make_node("Mul", ["hv_all", "hv_none"], ["hv_nothing"]),
    ]
    return _ending(model, nodes, helper.make_node("Add", ["hv_answer", "hv_nothing"], ["hv_end"]), constants)


def always(data: bytes, value: float) -> bytes:
    """Every number of the answer is `value`."""
    constants = {"hv_none": np.zeros((1,), np.float32), "hv_value": np.full((1,), value, np.float32)}
    nodes = [helper.make_node("Mul", ["hv_answer", "hv_none"], ["hv_gone"])]
    model = onnx.load_from_string(data)
    return _ending(model, [], helper.make_node("Add", ["hv_gone", "hv_value"], ["hv_end"]), constants, after=nodes)


def twice(data: bytes) -> bytes:
    """The answer and the answer again, side by side: a wrong shape."""
    model = onnx.load_from_string(data)
    return _ending(model, [], helper.make_node("Concat", ["hv_answer", "hv_answer"], ["hv_end"], axis=1), {})


def _ending(model, before: list, end, constants: dict, after: list | None = None) -> bytes:
    graph = model.graph
    said = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["hv_answer" if name == said else name for name in node.output]
        node.input[:] = ["hv_answer" if name == said else name for name in node.input]
    end.output[:] = [said]
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*before, *own, *(after or []), end])
    graph.initializer.extend([numpy_helper.from_array(value, name) for name, value in constants.items()])
    graph.output[0].type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    return model.SerializeToString()
