"""The sequence clients: two sequences interleaved, over HTTP, gRPC and a gRPC stream."""

import queue
from contextlib import contextmanager

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from flows import flow, main, raised
from tritonclient.utils import InferenceServerException

VALUES = [11, 7, 5, 3, 2, 0, 1]
FIRST = [0, *VALUES]
SECOND = [100, *(-v for v in VALUES)]
THIRD = [20, *(-v for v in VALUES)]


def send(infer, module, model, value, sequence, start, end, **options):
    """Send one value of a sequence with a client's infer function."""
    given = module.InferInput("INPUT", [1, 1], "INT32")
    given.set_data_from_numpy(np.full((1, 1), value, np.int32))
    return infer(
        model,
        [given],
        outputs=[module.InferRequestedOutput("OUTPUT")],
        sequence_id=sequence,
        sequence_start=start,
        sequence_end=end,
        **options,
    )


def interleaved(infer, module, model, sequences):
    """Send the sequences value by value in turn; return each one's answers."""
    found = {name: [] for name in sequences}
    length = len(FIRST)
    for step in range(length):
        for name, values in sequences.items():
            last = step == length - 1
            result = send(infer, module, model, values[step], name, step == 0, last)
            found[name].append(int(result.as_numpy("OUTPUT")[0, 0]))
    return found


def expected(values, at_end=0):
    """Return the answers of the sample models: one more at the start, ``at_end`` at the end."""
    return [values[0] + 1, *values[1:-1], values[-1] + at_end]


@contextmanager
def streaming(server):
    """Open a stream that looks like an infer function that waits for its answer."""
    answers = queue.SimpleQueue()

    with grpcclient.InferenceServerClient(server.grpc) as client:

        def infer(model, inputs, **options):
            client.async_stream_infer(model, inputs, **options)
            result, error = answers.get(timeout=20)
            if error is not None:
                raise error
            return result

        client.start_stream(lambda result, error: answers.put((result, error)))
        yield infer
        client.stop_stream()


@contextmanager
def every_way(server):
    """Open all three ways to send a request, as ``(infer, module)``."""
    with (
        httpclient.InferenceServerClient(server.http) as over_http,
        grpcclient.InferenceServerClient(server.grpc) as over_grpc,
        streaming(server) as over_stream,
    ):
        yield [
            (over_http.infer, httpclient),
            (over_grpc.infer, grpcclient),
            (over_stream, grpcclient),
        ]


@flow
def sequences_with_numbers_for_ids(server):
    """Integer ids on the direct strategy."""
    with every_way(server) as ways:
        for infer, module in ways:
            found = interleaved(infer, module, "simple_sequence", {1000: FIRST, 1001: SECOND})
            assert found == {1000: expected(FIRST), 1001: expected(SECOND)}, found


@flow
def sequences_with_strings_for_ids(server):
    """String ids on the direct strategy."""
    with every_way(server) as ways:
        for infer, module in ways:
            found = interleaved(infer, module, "simple_sequence", {"abc": FIRST, "d e": THIRD})
            assert found == {"abc": expected(FIRST), "d e": expected(THIRD)}, found


@flow
def sequences_on_the_oldest_strategy(server):
    """The dynamic model adds the correlation id at the end of a sequence."""
    with every_way(server) as ways:
        for infer, module in ways:
            found = interleaved(infer, module, "simple_dyna_sequence", {1000: FIRST, 1001: SECOND})
            assert found == {1000: expected(FIRST, 1000), 1001: expected(SECOND, 1001)}, found


@flow
def a_whole_sequence_may_be_in_flight_on_a_stream(server):
    """All requests of two sequences sent before the first answer come back in order."""
    answers = queue.SimpleQueue()
    with grpcclient.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for name, values in {2000: FIRST, 2001: SECOND}.items():
            for step, value in enumerate(values):
                last = step == len(values) - 1
                send(
                    client.async_stream_infer, grpcclient, "simple_sequence", value, name,
                    step == 0, last, request_id=f"{name}_{step}",
                )  # fmt: skip
        client.stop_stream()
    found = {}
    for _ in range(2 * len(FIRST)):
        result, error = answers.get(timeout=20)
        assert error is None, error
        name, step = result.get_response().id.split("_")
        found.setdefault(name, []).append((int(step), int(result.as_numpy("OUTPUT")[0, 0])))
    assert found["2000"] == list(enumerate(expected(FIRST)))
    assert found["2001"] == list(enumerate(expected(SECOND)))


@flow
def more_sequences_than_slots_take_turns(server):
    """Twelve sequences on a model with fewer slots are all answered."""
    sequences = {3000 + n: [n, n + 1] for n in range(12)}
    with httpclient.InferenceServerClient(server.http, concurrency=12) as client:
        waiting = {
            name: send(client.async_infer, httpclient, "simple_sequence", v[0], name, True, True)
            for name, v in sequences.items()
        }
        for name, request in waiting.items():
            found = int(request.get_result().as_numpy("OUTPUT")[0, 0])
            assert found == sequences[name][0] + 1


@flow
def a_sequence_must_begin_with_its_start(server):
    """A request of an unknown sequence is refused, and the sequence can still be started."""
    with every_way(server) as ways:
        for infer, module in ways:
            error = raised(
                InferenceServerException,
                send, infer, module, "simple_sequence", 1, 4000, False, False,
            )  # fmt: skip
            assert (
                "inference request for sequence 4000 to model 'simple_sequence' must specify the"
                " START flag on the first request of the sequence"
            ) in str(error)
            result = send(infer, module, "simple_sequence", 1, 4000, True, True)
            assert int(result.as_numpy("OUTPUT")[0, 0]) == 2


if __name__ == "__main__":
    main()
