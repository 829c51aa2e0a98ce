"""
The small models of the sample repository, as ONNX graphs.

Each computes what the model of the same name in Triton's example repository computes;
the batch dimension is symbolic.
"""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

_OPSET = 13
_IR_VERSION = 8

_Spec = tuple[str, int, Sequence[str | int]]
_VECTOR = ("batch", 16)
_SCALAR = ("batch", 1)


def simple() -> bytes:
    """Return the sum and the difference of two INT32 [n,16]."""
    return _add_sub("simple", TensorProto.INT32)


def simple_int8() -> bytes:
    """Return the sum and the difference of two INT8 [n,16], which wrap around."""
    return _add_sub("simple_int8", TensorProto.INT8)


def simple_string() -> bytes:
    """Return the sum and the difference of two [n,16] of integers written as text."""
    return _add_sub("simple_string", TensorProto.STRING)


def simple_identity() -> bytes:
    """Return its BYTES [n,m] input."""
    shape = ("batch", "length")
    return _model(
        "simple_identity",
        [("INPUT0", TensorProto.STRING, shape)],
        [("OUTPUT0", TensorProto.STRING, shape)],
        [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])],
    )


def simple_sequence() -> bytes:
    """Return READY * (INPUT + START), all INT32 [n,1]; it keeps no state."""
    return _model(
        "simple_sequence",
        [(name, TensorProto.INT32, _SCALAR) for name in ("INPUT", "START", "READY")],
        [("OUTPUT", TensorProto.INT32, _SCALAR)],
        [
            helper.make_node("Add", ["INPUT", "START"], ["value"]),
            helper.make_node("Mul", ["value", "READY"], ["OUTPUT"]),
        ],
    )


def simple_dyna_sequence() -> bytes:
    """Return READY * (INPUT + START + END * CORRID), INT32 [n,1]; it keeps no state."""
    controls = ("INPUT", "START", "END", "READY")
    return _model(
        "simple_dyna_sequence",
        [
            *((name, TensorProto.INT32, _SCALAR) for name in controls),
            ("CORRID", TensorProto.UINT64, _SCALAR),
        ],
        [("OUTPUT", TensorProto.INT32, _SCALAR)],
        [
            helper.make_node("Cast", ["CORRID"], ["correlation_id"], to=TensorProto.INT32),
            helper.make_node("Mul", ["correlation_id", "END"], ["at_end"]),
            helper.make_node("Add", ["INPUT", "START"], ["value"]),
            helper.make_node("Add", ["value", "at_end"], ["value_at_end"]),
            helper.make_node("Mul", ["value_at_end", "READY"], ["OUTPUT"]),
        ],
    )


def _add_sub(name: str, datatype: int) -> bytes:
    """Return a graph that computes in INT32, whatever the datatype at its edges."""
    return _model(
        name,
        [(input_name, datatype, _VECTOR) for input_name in ("INPUT0", "INPUT1")],
        [(output_name, datatype, _VECTOR) for output_name in ("OUTPUT0", "OUTPUT1")],
        [
            helper.make_node("Cast", ["INPUT0"], ["left"], to=TensorProto.INT32),
            helper.make_node("Cast", ["INPUT1"], ["right"], to=TensorProto.INT32),
            helper.make_node("Add", ["left", "right"], ["sum"]),
            helper.make_node("Sub", ["left", "right"], ["difference"]),
            helper.make_node("Cast", ["sum"], ["OUTPUT0"], to=datatype),
            helper.make_node("Cast", ["difference"], ["OUTPUT1"], to=datatype),
        ],
    )


def _model(
    name: str, inputs: Sequence[_Spec], outputs: Sequence[_Spec], nodes: Sequence[onnx.NodeProto]
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        name,
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="inferd",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
