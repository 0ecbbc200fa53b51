"""Fitted nets -> ONNX bytes without a path in them, checked against the nets themselves."""

import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from edge_agent.errors import ModelError
from edge_agent.onnxcheck import check_onnx

OPSET = 20
LARGEST_DIFFERENCE = 1e-3


def onnx_bytes(net: nn.Module, example: np.ndarray, *, free_axes: dict[int, torch.export.Dim]) -> bytes:
    """The net as ONNX; `free_axes` of the input may have any size. ModelError where the device would refuse it."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval().cpu(),
            (torch.from_numpy(example),),
            input_names=["seen"],
            output_names=["said"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=(free_axes,),
            verbose=False,
        )
    data = _stripped(program.model_proto).SerializeToString()
    check_onnx(data, type(net).__name__)
    return data


def check_parity(net: nn.Module, data: bytes, batches: list[np.ndarray]) -> float:
    """The largest difference between net and ONNX over `batches`; ModelError above LARGEST_DIFFERENCE."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in batches:
        with torch.no_grad():
            wanted = net(torch.from_numpy(batch)).numpy()
        found = session.run(None, {session.get_inputs()[0].name: batch})[0]
        worst = max(worst, float(np.abs(found - wanted).max()))
    if worst > LARGEST_DIFFERENCE:
        name = type(net).__name__
        raise ModelError(f"{name} and its ONNX differ by {worst:.2g}, limit {LARGEST_DIFFERENCE}: do not ship it")
    return worst


def _stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, which hold the paths of its source files."""
    for field in ("doc_string", "domain", "producer_version"):
        model.ClearField(field)
    del model.metadata_props[:], model.functions[:]
    graph = model.graph
    graph.ClearField("doc_string")
    graph.name = "net"
    del graph.value_info[:], graph.metadata_props[:]
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.HasField("t")]
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output, *tensors):
        item.ClearField("doc_string")
        del item.metadata_props[:]
    for attribute in attributes:
        attribute.ClearField("doc_string")
    # Written by some versions of the exporter for tensors that lie inside of the file all the same.
    for tensor in graph.initializer:
        tensor.ClearField("data_location")
    return model
