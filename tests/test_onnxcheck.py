"""Hostile and broken ONNX files, and the ones that we ship."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks import hostile_nets
from edge_agent.errors import ModelError
from edge_agent.onnxcheck import MOST_FIELDS, check_onnx


def net(op: str = "Relu", *, domain: str = "", initializers=(), **attributes) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], domain=domain, **attributes)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([node], "net", value[:1], value[1:], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        check_onnx(model.SerializeToString(), "net detector")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plain_net_passes():
    check_onnx(net().SerializeToString(), "net")


def test_external_data_is_refused():
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    tensor.ClearField("raw_data")
    assert "not allowed" in refusal(net(initializers=[tensor]))


def test_data_said_to_lie_elsewhere_is_refused_without_a_place_too():
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    assert "outside" in refusal(net(initializers=[tensor]))


@pytest.mark.parametrize("domain", ["com.microsoft", "evil"])
def test_a_foreign_operator_domain_is_refused(domain):
    assert "domain" in refusal(net(domain=domain))


def test_a_foreign_operator_set_is_refused():
    model = net()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "domain" in refusal(model)


@pytest.mark.parametrize("op", ["If", "Loop", "Scan", "ConstantOfShape", "Expand", "Tile", "Resize", "RandomNormal"])
def test_operators_that_we_do_not_need_are_refused(op):
    assert op in refusal(net(op))


def test_a_subgraph_in_an_attribute_is_refused():
    inner = net().graph
    assert "attribute" in refusal(net("Relu", body=inner))


def test_a_function_is_refused():
    model = net()
    model.functions.append(helper.make_function("f", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], []))
    assert "not allowed" in refusal(model)


def test_a_tensor_of_absurd_size_is_refused_by_its_dimensions_alone():
    tensor = TensorProto(dims=[1 << 20, 1 << 20], data_type=TensorProto.FLOAT, name="w")
    assert "items" in refusal(net(initializers=[tensor]))


def test_a_negative_dimension_is_refused():
    tensor = TensorProto(dims=[-1], data_type=TensorProto.FLOAT, name="w", raw_data=b"")
    assert "items" in refusal(net(initializers=[tensor]))


def test_a_tensor_that_holds_less_than_it_says_is_refused():
    tensor = TensorProto(dims=[8], data_type=TensorProto.FLOAT, name="w", raw_data=b"\0" * 4)
    assert "8 items" in refusal(net(initializers=[tensor]))


def test_a_tensor_of_words_is_refused():
    tensor = helper.make_tensor("w", TensorProto.STRING, [1], [b"word"])
    assert "not allowed" in refusal(net(initializers=[tensor]))


def test_pads_that_would_take_all_memory_are_refused():
    assert "pads" in refusal(net("AveragePool", kernel_shape=[2, 2], pads=[0, 1 << 30, 0, 0]))


def test_metadata_is_refused_because_exporters_write_paths_into_it():
    model = net()
    entry = model.metadata_props.add()
    entry.key, entry.value = "source", "/home/somebody"
    assert "not allowed" in refusal(model)


@pytest.mark.parametrize("data", [b"", b"\0", b"no net at all", b"\x0a" * 50, bytes(range(256)), b"\xff" * 100])
def test_what_is_no_protobuf_is_refused_in_one_line(data):
    with pytest.raises(ModelError):
        check_onnx(data, "net")


def test_every_cut_of_a_net_is_refused_or_whole():
    data = net(initializers=[numpy_helper.from_array(np.zeros(4, np.float32), "w")]).SerializeToString()
    for length in range(len(data)):
        try:
            check_onnx(data[:length], "net")
        except ModelError:
            continue
        onnx.load_from_string(data[:length])  # what passes is a protobuf, cut between fields


@pytest.mark.parametrize("name", list(hostile_nets.hostile()))
def test_every_hostile_net_is_refused_with_little_work(name):
    data = hostile_nets.hostile()[name]
    began_s = time.process_time()
    with pytest.raises(ModelError) as caught:
        check_onnx(data, "net detector")
    assert time.process_time() - began_s < 1.0, "the limit is 2 s for a bundle of five"
    assert len(str(caught.value)) < 300


def test_the_smallest_net_passes_and_is_far_from_the_limit_of_fields():
    check_onnx(hostile_nets.sound().SerializeToString(), "net")
    check_onnx(b"\x32\x00" * (MOST_FIELDS - 500) + hostile_nets.sound().SerializeToString(), "net")
    with pytest.raises(ModelError, match=f"more than {MOST_FIELDS} fields"):
        check_onnx(b"\x32\x00" * MOST_FIELDS + hostile_nets.sound().SerializeToString(), "net")
