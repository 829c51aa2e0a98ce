"""
Streams of real clients, broken at random: the kernel neither crashes, hangs nor grows.

``streams/`` has what grpcio, nghttp, h2load and curl sent, as ``record_stream.py`` wrote it.
How long this takes is up to the Hypothesis profile: ``tox -e fuzz`` is thorough.
"""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

http2 = pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
RECORDED = sorted(Path(__file__).with_name("streams").glob("*.bin"))
MESSAGES = {"grpcio-unary": 6, "grpcio-stream": 5, "nghttp": 3, "h2load": 12, "curl": 1}
MAX_MESSAGE = 1 << 16
MEBIBYTE = 1 << 20


def frames_of(data):
    """Cut a recorded stream into frames; the preface is left out."""
    data = data.removeprefix(MAGIC)
    frames = []
    while data:
        size = 9 + int.from_bytes(data[:3], "big")
        frames.append(data[:size])
        data = data[size:]
    return frames


STREAMS = [frames_of(path.read_bytes()) for path in RECORDED]


def broken(frames, choose):
    """
    Return a stream's bytes with something wrong in it.

    Args:
        frames: The frames of the stream.
        choose: A function that returns a number below its argument.
    """
    frames = list(frames)
    at = choose(len(frames))
    frame = bytearray(frames[at])
    byte = choose(len(frame))
    match choose(9):
        case 0:
            del frames[at]
        case 1:
            frames.insert(choose(len(frames)), frames[at])
        case 2:
            frames[at] = frames[at][:byte]
        case 3:
            frame[byte] = choose(256)
            frames[at] = frame
        case 4:  # of another length, type, with other flags or of another stream
            frame[choose(min(9, len(frame)))] ^= 1 << choose(8)
            frames[at] = frame
        case 5:  # cut in two, the second without a head
            frames[at : at + 1] = [frame[:byte], frame[byte:]]
        case 6:  # a frame of one's own
            size = choose(32)
            head = bytes((0, 0, size, choose(12), choose(256), 0, 0, 0, choose(16)))
            frames.insert(at, head + bytes(choose(256) for _ in range(size)))
        case 7:  # shorter, and its head says so
            payload = frame[9:byte] if byte > 9 else b""
            frames[at] = len(payload).to_bytes(3, "big") + frame[3:9] + payload
        case _:
            other = STREAMS[choose(len(STREAMS))]
            frames.insert(at, other[choose(len(other))])
    return [frame for frame in frames if frame]


def serve(data, size, choose=lambda below: below - 1):
    """Feed a fresh connection, answer what it tells, and check that it keeps its bounds."""
    connection = http2.Connection(RESPONSE, max_message_bytes=MAX_MESSAGE)
    messages, written = [], 0
    told, over = set(), set()
    for start in range(0, len(data), size):
        try:
            events = connection.receive(data[start : start + size], start)
            for kind, stream, *rest in events:
                assert (kind in (http2.OPENED, http2.MESSAGE)) or stream in told
                assert stream not in over
                told.add(stream)
                if kind == http2.RESET:
                    over.add(stream)
                if kind == http2.MESSAGE:
                    assert len(rest[0]) <= MAX_MESSAGE
                    messages.append(bytes(rest[0]))
                    connection.take(stream)
                    connection.send_message(stream, [b"answer", rest[0], bytes(choose(2) * 20_000)])
                match choose(8):
                    case 0:
                        connection.send_trailers(stream, choose(17), "text", choose(2) == 0)
                    case 1:
                        connection.reset(stream, choose(14))
                    case 2:
                        connection.send_only_headers(stream, [(b":status", b"415")])
            if choose(4) != 3:
                written += sum(map(len, connection.data_to_send()))
                connection.closed_while_sending()
        except http2.ProtocolError:
            assert connection.failed
    written += sum(map(len, connection.data_to_send()))
    assert written < 64 * len(data) + MEBIBYTE
    assert connection.open_streams <= 1024
    return messages


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_real_clients_send_is_understood(path, size):
    """Every message of the recorded calls is found, however the bytes are cut."""
    assert len(serve(path.read_bytes(), size)) == MESSAGES[path.stem]


@settings(deadline=None)
@given(st.sampled_from(STREAMS), st.randoms(use_true_random=False), st.integers(1, 6))
def test_broken_streams_are_survived(frames, source, faults):
    """Frames lost, doubled, cut, bent or made up, in a few places at a time."""
    choose = source.randrange
    for _ in range(faults):
        frames = broken(frames, choose) or frames
    data = b"".join(frames)
    serve(MAGIC + data, choose(1, 200), choose)
    serve(MAGIC + data, len(data) + 24, choose)


def resident():
    """Return the memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_broken_streams_leave_nothing_behind():
    """Thousands of connections later the process is as large as before."""
    source = random.Random(7)

    def break_some(count):
        for _ in range(count):
            frames = broken(source.choice(STREAMS), source.randrange)
            serve(MAGIC + b"".join(frames), 1 << 16, source.randrange)

    break_some(1000)
    before = resident()
    break_some(4000)
    assert resident() - before < 8 * MEBIBYTE
