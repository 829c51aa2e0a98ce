"""Large answers: what the application gave is written itself, a part at a time."""

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")

OUTPUT_BYTES = 1 << 20
FRAME_BYTES = 16_384


@pytest.fixture
def greedy(pair):
    """A client that takes whatever comes."""
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 26})
    pair.client.increment_flow_control_window(1 << 26)
    pair.exchange()
    return pair


def framed(body):
    """Put gRPC's prefix before a message."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def size(pieces):
    """Return how many bytes pieces of output have."""
    return sum(len(piece) for piece in pieces)


def test_a_large_buffer_is_not_copied(greedy):
    """The output has views of it, but for the small rest, and the frames' heads between them."""
    stream_id, [(_, stream, *_)] = greedy.call()
    body = bytearray(range(256)) * 400
    greedy.server.send_message(stream, [b"head", body])
    greedy.server.send_trailers(stream, 0)
    pieces = greedy.server.data_to_send()
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert size(views) == len(body) // FRAME_BYTES * FRAME_BYTES
    assert all(view.obj is body for view in views)
    greedy.received += greedy.client.receive_data(b"".join(pieces))
    assert greedy.body(stream_id) == framed(b"head" + bytes(body))
    assert greedy.trailers(stream_id) == {"grpc-status": "0"}


@pytest.mark.parametrize(("length", "is_view"), [(8191, False), (8192, True)])
def test_small_buffers_are_copied(greedy, length, is_view):
    """A view costs as much as copying some KiB."""
    _, [(_, stream, *_)] = greedy.call()
    greedy.server.send_message(stream, [bytes(20_000), bytes(length)])
    last = greedy.server.data_to_send()[-1]
    assert (isinstance(last, memoryview) and len(last) == length) is is_view


def test_an_array_is_sent_as_its_bytes(greedy):
    """Whatever the size of its elements."""
    numpy = pytest.importorskip("numpy")
    stream_id, [(_, stream, *_)] = greedy.call()
    array = numpy.arange(20_000, dtype="<f4").reshape(100, 200)
    greedy.server.send_message(stream, [array])
    greedy.exchange()
    assert greedy.body(stream_id) == framed(array.tobytes())


def test_a_large_answer_comes_in_parts(greedy):
    """Each about 1 MiB, so that a slow socket holds no more."""
    stream_id, [(_, stream, *_)] = greedy.call()
    body = bytes(range(256)) * 20_000
    greedy.server.send_message(stream, [body])
    greedy.server.send_trailers(stream, 0)
    parts = []
    while greedy.server.wants_write:
        parts.append(b"".join(greedy.server.data_to_send()))
    assert len(parts) == 5
    assert max(map(len, parts)) < OUTPUT_BYTES + 2 * FRAME_BYTES
    for part in parts:
        greedy.received += greedy.client.receive_data(part)
    assert greedy.body(stream_id) == framed(body)


def test_a_call_given_up_between_two_parts_is_over(greedy):
    """The rest of its answer is dropped, and other calls are answered."""
    stream_id, [(_, stream, *_)] = greedy.call()
    greedy.server.send_message(stream, [bytes(5_000_000)])
    greedy.server.send_trailers(stream, 0)
    greedy.received += greedy.client.receive_data(b"".join(greedy.server.data_to_send()))
    greedy.client.reset_stream(stream_id, ErrorCodes.CANCEL)
    greedy.exchange()
    assert stream.closed
    other_id, [(_, other, *_)] = greedy.call()
    greedy.server.send_message(other, [b"x" * 9000])
    greedy.server.send_trailers(other, 0)
    greedy.exchange()
    assert greedy.body(other_id) == framed(b"x" * 9000)
    assert greedy.trailers(other_id) == {"grpc-status": "0"}
