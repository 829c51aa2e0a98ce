"""The asyncio HTTP client: the flows of its examples."""

import asyncio

import add_sub
import tritonclient.http as httpclient
import tritonclient.http.aio as aioclient
from flows import flow, main, raised_in_time
from tritonclient.utils import InferenceServerException


@flow
async def add_and_subtract(server):
    """Binary and JSON tensors both work."""
    async with aioclient.InferenceServerClient(server.http) as client:
        for binary in (True, False):
            result = await client.infer(
                "simple",
                add_sub.inputs(httpclient, binary_data=binary),
                outputs=add_sub.outputs(httpclient, binary_data=binary),
                headers={"test": "1"},
            )
            add_sub.check(result)


@flow
async def many_requests_at_once_get_their_own_answers(server):
    """Thirty requests in flight over several connections do not mix."""
    async with aioclient.InferenceServerClient(server.http) as client:
        lefts = [add_sub.LEFT * n for n in range(30)]
        results = await asyncio.gather(
            *(client.infer("simple", add_sub.inputs(httpclient, left)) for left in lefts)
        )
        for left, result in zip(lefts, results, strict=True):
            add_sub.check(result, left)


@flow
async def compression_works(server):
    """Compressed requests and answers work."""
    async with aioclient.InferenceServerClient(server.http) as client:
        for way in ("gzip", "deflate"):
            result = await client.infer(
                "simple",
                add_sub.inputs(httpclient),
                request_compression_algorithm=way,
                response_compression_algorithm=way,
            )
            add_sub.check(result)


@flow
async def health_metadata_and_statistics_work(server):
    """The calls that are not inference answer over the same client."""
    async with aioclient.InferenceServerClient(server.http) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("simple")
        assert (await client.get_server_metadata())["name"] == "triton"
        assert (await client.get_model_metadata("simple"))["name"] == "simple"
        assert (await client.get_model_config("simple"))["max_batch_size"] == 8
        assert len((await client.get_inference_statistics("simple"))["model_stats"]) == 1
        assert len(await client.get_model_repository_index()) > 1


@flow
async def a_failed_request_leaves_the_client_usable(server):
    """An error is raised with the server's text, and the next request is answered."""
    async with aioclient.InferenceServerClient(server.http) as client:
        error = await raised_in_time(
            InferenceServerException, client.infer("nope", add_sub.inputs(httpclient))
        )
        assert "Request for unknown model: 'nope' is not found" in str(error)
        add_sub.check(await client.infer("simple", add_sub.inputs(httpclient)))


@flow
async def a_cancelled_request_disturbs_no_other(server):
    """Requests to the same model are answered when one of them is given up."""
    async with aioclient.InferenceServerClient(server.http) as client:
        given = httpclient.InferInput("INPUT0", [1, 16], "FP32")
        given.set_data_from_numpy(add_sub.LEFT.astype("f4"))
        first = asyncio.create_task(client.infer("slow", [given]))
        second = asyncio.create_task(client.infer("slow", [given]))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await second).as_numpy("OUTPUT0").tolist() == add_sub.LEFT.tolist()
        add_sub.check(await client.infer("simple", add_sub.inputs(httpclient)))


if __name__ == "__main__":
    main()
