"""Every sample model, answered in four ways and compared with NumPy and ONNX Runtime."""

import asyncio
import queue

import add_sub
import ml_dtypes
import numpy as np
import onnxruntime
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as grpcaio
import tritonclient.http as httpclient
from flows import flow, main

RANDOM = np.random.default_rng(7)
WORDS = np.array([[b"a", b"", b"nul\x00", "ü".encode()], [b"1", b"22", b"333", b"4444"]], object)


class Case:
    """One request and the outputs it must have."""

    def __init__(self, model, given, expected, **options):
        self.model, self.given, self.expected, self.options = model, given, expected, options

    def inputs(self, module):
        """Return the inputs as objects of a client module."""
        made = []
        for name, (datatype, values) in self.given.items():
            tensor = module.InferInput(name, list(values.shape), datatype)
            tensor.set_data_from_numpy(values)
            made.append(tensor)
        return made

    def outputs(self, module):
        """Return the outputs as objects of a client module."""
        return [module.InferRequestedOutput(name) for name in self.expected]

    def check(self, result):
        """Fail unless every output is as expected."""
        for name, expected in self.expected.items():
            found = result.as_numpy(name)
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
            else:
                np.testing.assert_array_equal(found, expected)


def numbers(model, datatype, dtype):
    """Return a request to a sum-and-difference model; NumPy wraps around as the model does."""
    low, high = np.iinfo(np.int8).min, np.iinfo(np.int8).max
    left, right = (RANDOM.integers(low, high, (4, 16)).astype(dtype) for _ in range(2))
    given = {"INPUT0": (datatype, left), "INPUT1": (datatype, right)}
    return Case(model, given, {"OUTPUT0": left + right, "OUTPUT1": left - right})


def texts():
    """Return a request to ``simple_string``."""
    left, right = (RANDOM.integers(-99, 99, (2, 16)) for _ in range(2))
    given = {n: ("BYTES", add_sub.as_text(v)) for n, v in {"INPUT0": left, "INPUT1": right}.items()}
    expected = {"OUTPUT0": add_sub.as_text(left + right), "OUTPUT1": add_sub.as_text(left - right)}
    return Case("simple_string", given, expected)


def sequence(model, name, at_end):
    """Return a sequence of one request."""
    options = {"sequence_id": name, "sequence_start": True, "sequence_end": True}
    value = np.array([[5]], np.int32)
    return Case(model, {"INPUT": ("INT32", value)}, {"OUTPUT": value + 1 + at_end}, **options)


def picture(server, model, name, shape, output):
    """Return a request to a classifier, with ONNX Runtime's own answer as the expected one."""
    values = RANDOM.uniform(-1, 1, shape).astype(np.float32)
    session = onnxruntime.InferenceSession(str(server.repository / model / "1" / "model.onnx"))
    (scores,) = session.run(None, {session.get_inputs()[0].name: values[None]})
    return Case(model, {name: ("FP32", values)}, {output: scores.reshape(-1)})


def cases(server):
    """Return one request for each sample model that is there."""
    found = [
        numbers("simple", "INT32", np.int32),
        numbers("simple_int8", "INT8", np.int8),
        texts(),
        Case("simple_identity", {"INPUT0": ("BYTES", WORDS)}, {"OUTPUT0": WORDS}),
        sequence("simple_sequence", 51, 0),
        sequence("simple_dyna_sequence", 52, 52),
    ]
    if (server.repository / "densenet_onnx").exists():
        found.append(picture(server, "densenet_onnx", "data_0", (3, 224, 224), "fc6_1"))
        found.append(
            picture(
                server,
                "inception_onnx",
                "input:0",
                (299, 299, 3),
                "InceptionV3/Predictions/Softmax:0",
            )
        )
    return found


@flow
def over_http(server):
    """The synchronous HTTP client."""
    with httpclient.InferenceServerClient(server.http) as client:
        for case in cases(server):
            given, wanted = case.inputs(httpclient), case.outputs(httpclient)
            case.check(client.infer(case.model, given, outputs=wanted, **case.options))


@flow
def over_grpc(server):
    """The synchronous gRPC client."""
    with grpcclient.InferenceServerClient(server.grpc) as client:
        for case in cases(server):
            given, wanted = case.inputs(grpcclient), case.outputs(grpcclient)
            case.check(client.infer(case.model, given, outputs=wanted, **case.options))


@flow
async def over_grpc_with_asyncio(server):
    """The asyncio gRPC client, all models at once."""
    wanted = cases(server)
    async with grpcaio.InferenceServerClient(server.grpc) as client:
        results = await asyncio.gather(
            *(
                client.infer(
                    case.model,
                    case.inputs(grpcclient),
                    outputs=case.outputs(grpcclient),
                    **case.options,
                )
                for case in wanted
            )
        )
    for case, result in zip(wanted, results, strict=True):
        case.check(result)


@flow
def over_a_grpc_stream(server):
    """The gRPC stream, all models on one stream."""
    answers = queue.SimpleQueue()
    wanted = {str(n): case for n, case in enumerate(cases(server))}
    with grpcclient.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for name, case in wanted.items():
            given, outputs = case.inputs(grpcclient), case.outputs(grpcclient)
            client.async_stream_infer(
                case.model, given, outputs=outputs, request_id=name, **case.options
            )
        for _ in range(len(wanted)):
            result, error = answers.get(timeout=30)
            assert error is None, error
            wanted.pop(result.get_response().id).check(result)
        assert not wanted
        client.stop_stream()


@flow
def every_datatype_survives_the_round_trip(server):
    """An identity model of each datatype returns the bits it was sent, over both protocols."""
    bits = bytes(range(256))
    kinds = {
        "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
        "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
    }  # fmt: skip
    made = {datatype: np.frombuffer(bits, kind)[None] for datatype, kind in kinds.items()}
    made["BOOL"] = np.array([[True, False, True]])
    made["BF16"] = np.arange(-8, 8).astype(ml_dtypes.bfloat16)[None]
    with (
        httpclient.InferenceServerClient(server.http) as http,
        grpcclient.InferenceServerClient(server.grpc) as grpc,
    ):
        for datatype, values in made.items():
            case = Case(f"id_{datatype.lower()}", {"INPUT0": (datatype, values)}, {})
            for client, module in ((http, httpclient), (grpc, grpcclient)):
                found = client.infer(case.model, case.inputs(module)).as_numpy("OUTPUT0")
                assert found.tobytes() == values.tobytes(), (datatype, module.__name__)


if __name__ == "__main__":
    main()
