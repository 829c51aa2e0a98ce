"""The synchronous gRPC client's bidirectional stream."""

import queue
from contextlib import contextmanager

import add_sub
import numpy as np
import tritonclient.grpc as grpcclient
from flows import flow, main


class Stream:
    """An open stream and the answers it brought."""

    def __init__(self, client, **options):
        self._client = client
        self._answers = queue.SimpleQueue()
        client.start_stream(lambda result, error: self._answers.put((result, error)), **options)

    def send(self, model, inputs, **options):
        """Send one request."""
        self._client.async_stream_infer(model, inputs, **options)

    def next(self):
        """Return the next answer as ``(result, error)``."""
        return self._answers.get(timeout=20)


@contextmanager
def stream(server, **options):
    """Open a stream and close it at the end."""
    with grpcclient.InferenceServerClient(server.grpc) as client:
        yield Stream(client, **options)
        client.stop_stream()


def floats(count):
    """Return an FP32 input of ones."""
    given = grpcclient.InferInput("INPUT0", [1, count], "FP32")
    given.set_data_from_numpy(np.ones((1, count), np.float32))
    return [given]


@flow
def answers_come_in_the_order_of_the_requests(server):
    """Fifty requests on one stream are answered in order."""
    with stream(server) as talk:
        for n in range(50):
            talk.send("simple", add_sub.inputs(grpcclient, add_sub.LEFT + n), request_id=str(n))
        for n in range(50):
            result, error = talk.next()
            assert error is None, error
            assert result.get_response().id == str(n)
            add_sub.check(result, add_sub.LEFT + n)


@flow
def one_stream_serves_several_models(server):
    """Requests to different models may share a stream."""
    words = add_sub.as_text(add_sub.LEFT), add_sub.as_text(add_sub.RIGHT)
    with stream(server) as talk:
        talk.send("simple", add_sub.inputs(grpcclient), request_id="ints")
        talk.send("simple_string", add_sub.inputs(grpcclient, *words, "BYTES"), request_id="words")
        talk.send("id_fp32", floats(3), request_id="floats")
        found = {}
        for _ in range(3):
            result, error = talk.next()
            assert error is None, error
            found[result.get_response().id] = result
        add_sub.check(found["ints"])
        add_sub.check_text(found["words"])
        assert found["floats"].as_numpy("OUTPUT0").tolist() == [[1.0, 1.0, 1.0]]


@flow
def every_answer_is_marked_final(server):
    """An answer of a model that answers once carries ``triton_final_response``."""
    with stream(server) as talk:
        talk.send("simple", add_sub.inputs(grpcclient))
        result, error = talk.next()
        assert error is None, error
        assert result.get_response().parameters["triton_final_response"].bool_param is True


@flow
def an_error_leaves_the_stream_open(server):
    """A refused request is answered with its id and text, and later ones are served."""
    with stream(server) as talk:
        talk.send("simple", add_sub.inputs(grpcclient), request_id="before")
        talk.send("nope", add_sub.inputs(grpcclient), request_id="unknown")
        talk.send("simple", add_sub.inputs(grpcclient)[:1], request_id="short")
        talk.send("simple", add_sub.inputs(grpcclient), request_id="after")
        answers = [talk.next() for _ in range(4)]
        failed = [str(error) for _, error in answers if error is not None]
        served = [r.get_response().id for r, error in answers if error is None]
        assert sorted(served) == ["after", "before"]
        assert len(failed) == 2
        assert "Request for unknown model: 'nope' is not found" in failed[0], failed
        assert "[request id: short] expected 2 inputs but got 1 inputs" in failed[1], failed


@flow
def a_backend_error_leaves_the_stream_open(server):
    """A request the model itself cannot compute is answered with an error, alone."""
    good = add_sub.as_text(add_sub.LEFT)
    bad = np.full((1, 16), b"no number", object)
    with stream(server) as talk:
        talk.send("simple_string", add_sub.inputs(grpcclient, bad, bad, "BYTES"))
        talk.send("simple_string", add_sub.inputs(grpcclient, good, good, "BYTES"))
        (_, first), (result, second) = talk.next(), talk.next()
        assert first is not None
        assert second is None, second
        add_sub.check_text(result, add_sub.LEFT, add_sub.LEFT)


@flow
def closing_waits_for_the_answers_in_flight(server):
    """A client that closes its half still gets the answer of a slow request."""
    with grpcclient.InferenceServerClient(server.grpc) as client:
        talk = Stream(client)
        talk.send("slow", floats(2), request_id="slow")
        client.stop_stream()
        result, error = talk.next()
        assert error is None, error
        assert result.get_response().id == "slow"


@flow
def a_stream_may_be_compressed(server):
    """Gzip and deflate work on streams."""
    for way in ("gzip", "deflate"):
        with stream(server, compression_algorithm=way) as talk:
            talk.send("simple", add_sub.inputs(grpcclient))
            result, error = talk.next()
            assert error is None, error
            add_sub.check(result)


if __name__ == "__main__":
    main()
