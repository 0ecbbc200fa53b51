"""Bytes of an ONNX file -> nothing, or a ModelError: our own walk over the protobuf, before any runtime sees the file.

onnxruntime 1.19-1.23 handed out files from outside the model's folder to a crafted model, so what the nets do not need
is refused: external data, foreign operators, subgraphs, functions, large tensors, unknown fields.
"""

from collections.abc import Iterator

from edge_agent.errors import ModelError

# fmt: off
OPERATORS = frozenset({
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Flatten", "Gemm", "GlobalAveragePool",
    "Identity", "MatMul", "MaxPool", "Mul", "ReduceMax", "ReduceMean", "Relu", "Reshape", "Sigmoid", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
})
# fmt: on
"""What our nets are made of. None of them has a subgraph, opens a file or makes a large tensor from a small one."""
LARGEST_TENSOR_BYTES = 2 << 20
MOST_NODES = 400
MOST_FIELDS = 20_000
"""Of a whole net, bytes of lists of integers included; ours have some 500. A file full of empty ones would keep the
check busy for seconds."""
LONGEST_DECLARATION = 400
LARGEST_INTEGER = 1 << 16
"""Of an attribute: a pad or stride of millions would take all memory at run time."""
LARGEST_SPLIT = {"pads": 64, "kernel_shape": 64, "strides": 16, "dilations": 16, "num_outputs": 16}
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
"""TensorProto data type -> bytes of one item in raw_data; others are refused."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL = {
    1: "ir_version",
    2: "producer",
    3: "producer_version",
    4: "domain",
    5: "model_version",
    6: "doc",
    7: "graph",
    8: "opset",
}
_GRAPH = {1: "node", 2: "name", 5: "initializer", 10: "doc", 11: "input", 12: "output", 13: "value_info"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 6: "doc", 7: "domain"}
_ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 7: "floats", 8: "ints", 20: "type"}
_TENSOR = {1: "dims", 2: "data_type", 4: "floats", 5: "ints32", 7: "ints64", 8: "name", 9: "raw", 14: "data_location"}
_OPSET = {1: "domain", 2: "version"}

Value = int | bytes


def check_onnx(data: bytes, name: str) -> None:
    """Raises ModelError naming `name` and the fault where `data` is no ONNX model of the kind that bundles carry."""
    try:
        _Check().model(data)
    except _Fault as fault:
        raise ModelError(f"{name} is refused: {fault}: use a bundle from a source that you trust") from fault


class _Fault(Exception):
    """What is wrong with the bytes, in words."""


class _Check:
    """One walk over one file, which may hold so many fields and no more."""

    def __init__(self) -> None:
        self._fields_left = MOST_FIELDS

    def model(self, data: bytes) -> None:
        graphs = 0
        for field, value in self._fields(data, _MODEL, "model"):
            if field == "graph":
                graphs += 1
                self._graph(_message(value))
            elif field == "opset":
                self._opset(_message(value))
        if graphs != 1:
            raise _Fault(f"it holds {graphs} graphs, 1 is needed")

    def _opset(self, data: bytes) -> None:
        for field, value in self._fields(data, _OPSET, "operator set"):
            if field == "domain" and value not in (b"", b"ai.onnx"):
                raise _Fault(f"foreign operator domain {_words(value)}")

    def _graph(self, data: bytes) -> None:
        nodes = 0
        for field, value in self._fields(data, _GRAPH, "graph"):
            if field == "node":
                nodes += 1
                if nodes > MOST_NODES:
                    raise _Fault(f"more than {MOST_NODES} nodes")
                self._node(_message(value))
            elif field == "initializer":
                self._tensor(_message(value))
            elif field in ("input", "output", "value_info") and len(_message(value)) > LONGEST_DECLARATION:
                # These may nest types in types; ours are tensors and need some 60 bytes.
                raise _Fault(f"the declaration of an {field} has more than {LONGEST_DECLARATION} bytes")

    def _node(self, data: bytes) -> None:
        for field, value in self._fields(data, _NODE, "node"):
            if field == "domain" and value not in (b"", b"ai.onnx"):
                raise _Fault(f"foreign operator domain {_words(value)}")
            if field == "op_type" and _words(value).strip("'") not in OPERATORS:
                raise _Fault(f"operator {_words(value)} is not allowed")
            if field == "attribute":
                self._attribute(_message(value))

    def _attribute(self, data: bytes) -> None:
        name = ""
        integers: list[int] = []
        for field, value in self._fields(data, _ATTRIBUTE, "attribute"):
            if field == "name":
                name = _words(value).strip("'")
            elif field == "t":
                self._tensor(_message(value))
            elif field in ("i", "ints"):
                integers += [value] if isinstance(value, int) else list(self._varints(value))
        limit = LARGEST_SPLIT.get(name, LARGEST_INTEGER)
        if any(abs(_signed(integer)) > limit for integer in integers):
            raise _Fault(f"attribute {name[:40]} is over {limit}")

    def _tensor(self, data: bytes) -> None:
        items, data_type, raw = 1, 0, None
        numbers = 0
        for field, value in self._fields(data, _TENSOR, "tensor"):
            if field == "dims":
                items = self._times(items, value)
            elif field == "data_type":
                data_type = value if isinstance(value, int) else 0
            elif field == "data_location" and value != 0:
                raise _Fault("a tensor's data lies outside of the file")
            elif field == "raw":
                raw = _message(value)
            elif field in ("floats", "ints32", "ints64"):
                numbers += 1 if isinstance(value, int) else len(value)
        _has_data(items, data_type, raw, numbers)

    def _times(self, items: int, dims: Value) -> int:
        """Items of a tensor with further `dims`; a size of more than any tensor of ours ends the multiplication."""
        for size in [dims] if isinstance(dims, int) else self._varints(dims):
            items *= size
            if not 0 <= items <= LARGEST_TENSOR_BYTES:
                raise _Fault(f"a tensor of more than {LARGEST_TENSOR_BYTES} items")
        return items

    def _fields(self, data: bytes, known: dict[int, str], what: str) -> Iterator[tuple[str, Value]]:
        """(field name, value) of one message; unknown fields are faults: what is not understood is not let through."""
        at = 0
        while at < len(data):
            self._spend(1)
            tag, at = _varint(data, at)
            number, kind = tag >> 3, tag & 7
            if number not in known:
                raise _Fault(f"field {number} of a {what} is not allowed")
            if kind == _VARINT:
                value, at = _varint(data, at)
                yield known[number], value
            elif kind == _BYTES:
                size, at = _varint(data, at)
                if size > len(data) - at:
                    raise _Fault("it ends in the middle")
                yield known[number], data[at : at + size]
                at += size
            elif kind in (_FIXED32, _FIXED64):
                size = 4 if kind == _FIXED32 else 8
                if size > len(data) - at:
                    raise _Fault("it ends in the middle")
                yield known[number], int.from_bytes(data[at : at + size], "little")
                at += size
            else:
                raise _Fault("it is no protobuf")

    def _varints(self, data: Value) -> Iterator[int]:
        content, at = _message(data), 0
        self._spend(len(content))
        while at < len(content):
            value, at = _varint(content, at)
            yield value

    def _spend(self, count: int) -> None:
        self._fields_left -= count
        if self._fields_left < 0:
            raise _Fault(f"more than {MOST_FIELDS} fields")


def _has_data(items: int, data_type: int, raw: bytes | None, numbers: int) -> None:
    if data_type not in ITEM_BYTES:
        raise _Fault(f"tensor data type {data_type} is not allowed")
    if raw is not None and len(raw) != items * ITEM_BYTES[data_type]:
        raise _Fault(f"a tensor says {items} items and holds {len(raw)} bytes")
    if raw is None and items > 0 and numbers == 0:
        raise _Fault("a tensor without data")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Fault("it ends in the middle")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Fault("it is no protobuf")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise _Fault("it is no protobuf")
    return value


def _words(value: Value) -> str:
    return repr(_message(value)[:40].decode("utf-8", "replace"))
