"""The asyncio gRPC client: the flows of its examples, unary and streaming."""

import asyncio

import add_sub
import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient
from flows import flow, main, raised_in_time
from tritonclient.utils import InferenceServerException


@flow
async def add_and_subtract(server):
    """One request after the other is answered."""
    async with aioclient.InferenceServerClient(server.grpc) as client:
        for way in (None, "gzip", "deflate"):
            result = await client.infer(
                "simple",
                add_sub.inputs(grpcclient),
                outputs=add_sub.outputs(grpcclient),
                compression_algorithm=way,
            )
            add_sub.check(result)


@flow
async def many_requests_at_once_get_their_own_answers(server):
    """A hundred requests in flight on one connection do not mix."""
    async with aioclient.InferenceServerClient(server.grpc) as client:
        lefts = [add_sub.LEFT * n for n in range(100)]
        results = await asyncio.gather(
            *(client.infer("simple", add_sub.inputs(grpcclient, left)) for left in lefts)
        )
        for left, result in zip(lefts, results, strict=True):
            add_sub.check(result, left)


@flow
async def health_metadata_and_statistics_work(server):
    """The calls that are not inference answer over the same client."""
    async with aioclient.InferenceServerClient(server.grpc) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("simple")
        assert (await client.get_server_metadata()).name == "triton"
        assert (await client.get_model_metadata("simple")).name == "simple"
        assert (await client.get_model_config("simple")).config.max_batch_size == 8
        assert len((await client.get_inference_statistics("simple")).model_stats) == 1
        assert len((await client.get_model_repository_index()).models) > 1


@flow
async def a_stream_of_two_sequences_is_answered_in_order(server):
    """Two interleaved sequences on one stream are told apart by their ids."""
    values = [11, 7, 5, 3, 2, 0, 1]

    def step(value, sequence, index, sign):
        given = grpcclient.InferInput("INPUT", [1, 1], "INT32")
        given.set_data_from_numpy(np.full((1, 1), sign * value, np.int32))
        return {
            "model_name": "simple_sequence",
            "inputs": [given],
            "outputs": [grpcclient.InferRequestedOutput("OUTPUT")],
            "request_id": f"{sequence}_{index}",
            "sequence_id": sequence,
            "sequence_start": index == 0,
            "sequence_end": index == len(values),
        }

    async def requests():
        for index, value in enumerate([0, *values]):
            yield step(value, 1007, index, 1)
        for index, value in enumerate([100, *(-v for v in values)]):
            yield step(value, 1008, index, 1)

    found = {}
    async with aioclient.InferenceServerClient(server.grpc) as client:
        async for result, error in client.stream_infer(requests()):
            assert error is None, error
            sequence = result.get_response().id.split("_")[0]
            found.setdefault(sequence, []).append(int(result.as_numpy("OUTPUT")[0, 0]))
    assert found == {"1007": [1, *values], "1008": [101, *(-v for v in values)]}


@flow
async def a_cancelled_stream_leaves_the_connection_usable(server):
    """Cancelling a stream with a request in flight ends it; the channel serves on."""
    given = grpcclient.InferInput("INPUT0", [1, 2], "FP32")
    given.set_data_from_numpy(np.ones((1, 2), np.float32))

    async def requests():
        yield {"model_name": "slow", "inputs": [given]}
        await asyncio.sleep(20)

    async with aioclient.InferenceServerClient(server.grpc) as client:
        answers = client.stream_infer(requests())
        asyncio.get_running_loop().call_later(0.2, answers.cancel)
        error = await raised_in_time(
            (asyncio.CancelledError, InferenceServerException), anext(aiter(answers))
        )
        assert isinstance(error, asyncio.CancelledError) or "CANCEL" in str(error).upper(), error
        add_sub.check(await client.infer("simple", add_sub.inputs(grpcclient)))


if __name__ == "__main__":
    main()
