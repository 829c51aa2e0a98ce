"""
Call the inference service through grpcio alone, and print which flows worked.

Argument: the address. Covers what tritonclient's wrappers leave out: compression chosen per
channel, binary metadata, keepalive pings, many streams at once, asyncio.
"""

import asyncio
import sys
import time

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

PINGS = [
    ("grpc.keepalive_time_ms", 50),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def request(name, count=4):
    """Return an inference request."""
    made = pb.ModelInferRequest(model_name="echo", id=name)
    made.inputs.add(name="INPUT0", datatype="FP32", shape=[1, count])
    made.raw_input_contents.append(bytes(4 * count))
    return made


def unary(address):
    """Calls with binary and repeated metadata, a deadline, and a future each."""
    metadata = (("trace-bin", bytes(range(256))), ("a", "1"), ("a", "2"))
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer, call = stub.ModelInfer.with_call(request("one"), metadata=metadata, timeout=20)
        assert (answer.id, call.code()) == ("one", grpc.StatusCode.OK)
        futures = [stub.ModelInfer.future(request(str(n)), wait_for_ready=True) for n in range(300)]
        assert [future.result(20).id for future in futures] == [str(n) for n in range(300)]


def compressed(address):
    """Every algorithm, chosen by the channel, there and in pieces of a stream."""
    for way in (grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression):
        with grpc.insecure_channel(address, compression=way) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ModelInfer(request("x", 100_000)).outputs[0].shape == [1, 100_000]
            answers = stub.ModelStreamInfer(request(str(n), 1000) for n in range(5))
            assert [one.infer_response.id for one in answers] == list("01234")


def errors(address):
    """Status and text arrive, and the channel serves on."""
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        error = stub.ModelInfer.future(pb.ModelInferRequest(model_name="größe\n")).exception(20)
        assert error.code() == grpc.StatusCode.NOT_FOUND
        assert "größe\n" in error.details()
        assert stub.ServerLive(pb.ServerLiveRequest()).live


def pinging(address):
    """A channel that pings twenty times a second lives through a pause and a stream."""
    with grpc.insecure_channel(address, options=PINGS) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(pb.ServerLiveRequest()).live
        states = []
        channel.subscribe(states.append)
        time.sleep(1)

        def slowly():
            for n in range(3):
                yield request(str(n))
                time.sleep(0.2)

        answers = [one.infer_response.id for one in stub.ModelStreamInfer(slowly())]
        assert answers == ["0", "1", "2"]
        assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states
        assert grpc.ChannelConnectivity.IDLE not in states


def asynchronous(address):
    """Two hundred calls and twenty streams at once on one channel of asyncio's."""

    async def stream(stub, name):
        call = stub.ModelStreamInfer(request(f"{name}.{n}") for n in range(5))
        return [one.infer_response.id async for one in call]

    async def both():
        async with grpc.aio.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            streams = asyncio.gather(*(stream(stub, n) for n in range(20)))
            calls = await asyncio.gather(*(stub.ModelInfer(request(str(n))) for n in range(200)))
            assert [answer.id for answer in calls] == [str(n) for n in range(200)]
            for name, found in enumerate(await streams):
                assert found == [f"{name}.{n}" for n in range(5)]

    asyncio.run(both())


def main():
    """Run every flow; the first that fails ends the script with its traceback."""
    for flow in (unary, compressed, errors, pinging, asynchronous):
        flow(sys.argv[1])
        print(flow.__name__)


if __name__ == "__main__":
    main()
