"""Clients that use the generated stubs: typed contents, metadata and inference by hand."""

import grpc
import numpy as np
from flows import flow, main, raised
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

MIXED = (
    "contents field must not be specified when using raw_input_contents for 'INPUT0'"
    " for model 'simple'"
)


def stub(server):
    """Return a stub over a new channel."""
    return service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(server.grpc))


def request(model, datatype, field, values, shape=(1, 16)):
    """Return a request with both inputs as typed contents."""
    made = pb.ModelInferRequest(model_name=model, id="my request")
    for name in ("INPUT0", "INPUT1"):
        tensor = made.inputs.add(name=name, datatype=datatype, shape=shape)
        getattr(tensor.contents, field).extend(values)
    return made


@flow
def the_kserve_calls_answer(server):
    """Liveness, readiness, metadata and config answer to a bare stub."""
    ask = stub(server)
    assert ask.ServerLive(pb.ServerLiveRequest()).live
    assert ask.ServerReady(pb.ServerReadyRequest()).ready
    assert ask.ModelReady(pb.ModelReadyRequest(name="simple")).ready
    assert not ask.ModelReady(pb.ModelReadyRequest(name="nope")).ready
    described = ask.ServerMetadata(pb.ServerMetadataRequest())
    assert described.name == "triton"
    assert "model_repository(unload_dependents)" in described.extensions
    model = ask.ModelMetadata(pb.ModelMetadataRequest(name="simple", version="1"))
    assert [(t.name, t.datatype, list(t.shape)) for t in model.outputs] == [
        ("OUTPUT0", "INT32", [-1, 16]),
        ("OUTPUT1", "INT32", [-1, 16]),
    ]
    config = ask.ModelConfig(pb.ModelConfigRequest(name="simple")).config
    assert [i.name for i in config.input] == ["INPUT0", "INPUT1"]


@flow
def int_contents_are_read(server):
    """INT32 values in ``int_contents`` are computed with; the answer is raw."""
    answer = stub(server).ModelInfer(request("simple", "INT32", "int_contents", range(16)))
    assert (answer.id, answer.model_version) == ("my request", "1")
    assert [list(o.shape) for o in answer.outputs] == [[1, 16], [1, 16]]
    total = np.frombuffer(answer.raw_output_contents[0], np.int32)
    np.testing.assert_array_equal(total, np.arange(16) * 2)


@flow
def int8_values_are_read_from_int_contents(server):
    """INT8 values travel in ``int_contents`` too."""
    answer = stub(server).ModelInfer(request("simple_int8", "INT8", "int_contents", range(16)))
    total = np.frombuffer(answer.raw_output_contents[0], np.int8)
    np.testing.assert_array_equal(total, np.arange(16) * 2)


@flow
def byte_contents_are_read(server):
    """BYTES values in ``bytes_contents`` come back length-prefixed."""
    words = [str(n).encode() for n in range(16)]
    answer = stub(server).ModelInfer(request("simple_string", "BYTES", "bytes_contents", words))
    sent = b"".join(len(w).to_bytes(4, "little") + w for w in (b"%d" % (2 * n) for n in range(16)))
    assert answer.raw_output_contents[0] == sent


@flow
def every_typed_field_is_read(server):
    """Each datatype is read from the field the protocol gives it."""
    fields = {
        "bool": ("BOOL", "bool_contents", [True, False], "?"),
        "uint8": ("UINT8", "uint_contents", [0, 255], "u1"),
        "uint16": ("UINT16", "uint_contents", [0, 65535], "u2"),
        "uint32": ("UINT32", "uint_contents", [0, 2**32 - 1], "u4"),
        "uint64": ("UINT64", "uint64_contents", [0, 2**64 - 1], "u8"),
        "int16": ("INT16", "int_contents", [-32768, 32767], "i2"),
        "int64": ("INT64", "int64_contents", [-(2**63), 2**63 - 1], "i8"),
        "fp32": ("FP32", "fp32_contents", [0.1, -2.5], "f4"),
        "fp64": ("FP64", "fp64_contents", [0.1, -2.5], "f8"),
    }
    ask = stub(server)
    for model, (datatype, field, values, dtype) in fields.items():
        made = pb.ModelInferRequest(model_name=f"id_{model}")
        tensor = made.inputs.add(name="INPUT0", datatype=datatype, shape=[1, 2])
        getattr(tensor.contents, field).extend(values)
        answer = ask.ModelInfer(made)
        assert answer.raw_output_contents[0] == np.array(values, dtype).tobytes(), datatype


@flow
def raw_and_typed_contents_must_not_be_mixed(server):
    """A request with both is refused with the reference's text; the channel serves on."""
    ask = stub(server)
    for raw in (1, 2):
        made = request("simple", "INT32", "int_contents", range(16))
        made.raw_input_contents.extend([bytes(64)] * raw)
        error = raised(grpc.RpcError, ask.ModelInfer, made)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == MIXED
        assert ask.ModelInfer(request("simple", "INT32", "int_contents", range(16))).outputs


@flow
def typed_contents_of_the_wrong_type_are_refused(server):
    """A field that does not belong to the datatype is named."""
    made = request("simple", "INT32", "fp32_contents", [1.0] * 16)
    error = raised(grpc.RpcError, stub(server).ModelInfer, made)
    assert error.details() == (
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type"
        " 'FP32', expected datatype 'INT32'"
    )


@flow
def the_standard_health_service_answers(server):
    """``grpc.health.v1.Health/Check`` says SERVING for any service name."""
    with grpc.insecure_channel(server.grpc) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=10) == b"\x08\x01"
        assert check(b"\x0a\x04some", timeout=10) == b"\x08\x01"


@flow
def an_unknown_method_is_unimplemented(server):
    """A call of no service is refused as gRPC prescribes; the channel serves on."""
    with grpc.insecure_channel(server.grpc) as channel:
        for path in ("/inference.GRPCInferenceService/Nope", "/no.Service/Nope"):
            error = raised(grpc.RpcError, channel.unary_unary(path), b"", timeout=10)
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        assert live(b"", timeout=10) == b"\x08\x01"


@flow
def bytes_that_are_no_message_are_refused(server):
    """Garbage in place of a message fails that call alone."""
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for garbage in (b"\xff\xff\xff\xff", b"\x0a\x7fshort"):
            error = raised(grpc.RpcError, infer, garbage, timeout=10)
            assert error.code() in {
                grpc.StatusCode.INTERNAL,
                grpc.StatusCode.INVALID_ARGUMENT,
            }, error
        good = request("simple", "INT32", "int_contents", range(16)).SerializeToString()
        assert infer(good, timeout=10)


@flow
def a_zero_image_is_classified_by_hand(server):
    """The bare-stub client's flow: raw zeros in, as many scores as the metadata says out."""
    ask = stub(server)
    model = "densenet_onnx" if (server.repository / "densenet_onnx").exists() else "vector"
    metadata = ask.ModelMetadata(pb.ModelMetadataRequest(name=model))
    made = pb.ModelInferRequest(model_name=model)
    tensor = made.inputs.add(name=metadata.inputs[0].name, datatype="FP32")
    tensor.shape.extend(metadata.inputs[0].shape)
    made.outputs.add(name=metadata.outputs[0].name)
    made.raw_input_contents.append(bytes(4 * int(np.prod(tensor.shape))))
    answer = ask.ModelInfer(made)
    assert list(answer.outputs[0].shape) == list(metadata.outputs[0].shape)
    assert len(answer.raw_output_contents[0]) == 4 * int(np.prod(answer.outputs[0].shape))


if __name__ == "__main__":
    main()
