"""What concerns a connection as a whole: pings, credit and its end."""

import gc
import weakref

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived
from h2.settings import SettingCodes

http2 = pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")


def goodbyes(pair):
    """Return the GOAWAY frames the client got."""
    return [event for event in pair.received if isinstance(event, ConnectionTerminated)]


def test_pings_are_told_to_whoever_counts_them(make_pair):
    """With the time, the calls that are open and what was sent; answers to pings are not."""
    told = []
    pair = make_pair(on_ping=lambda *seen: told.append(seen))
    pair.now_ns = 1000
    before = pair.server.sent
    pair.client.ping(bytes(8))
    pair.exchange()
    _, [(_, stream, _, _)] = pair.call()
    pair.now_ns = 2000
    pair.client.ping(bytes(8))
    pair.server.ping()
    pair.exchange()
    assert told == [(1000, 0, before), (2000, 1, before)]
    assert pair.server.heard_ns == 2000
    assert pair.server.pongs == 1
    pair.server.send_message(stream, [b"x"])
    pair.server.send_trailers(stream, 0)
    pair.exchange()
    assert pair.server.sent == before + 3


def test_a_ping_too_many_ends_the_connection(make_pair):
    """The goodbye says why and which calls were begun, and nothing more is taken."""
    pair = make_pair(on_ping=lambda *_: True)
    stream_id, _ = pair.call()
    pair.client.ping(bytes(8))
    with pytest.raises(http2.ProtocolError, match="too many pings"):
        pair.exchange()
    pair.received += pair.client.receive_data(b"".join(pair.server.data_to_send()))
    [goodbye] = goodbyes(pair)
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert goodbye.additional_data == b"too_many_pings"
    assert goodbye.last_stream_id == stream_id
    assert pair.server.done
    assert pair.server.receive(b"more", 1) == []


def test_a_defect_in_whoever_counts_pings_is_raised(make_pair):
    """It is not taken for the peer's fault."""
    pair = make_pair(on_ping=lambda *_: 1 // 0)
    pair.client.ping(bytes(8))
    with pytest.raises(ZeroDivisionError):
        pair.exchange()


def test_nobody_needs_to_count_pings(pair):
    """They are answered all the same."""
    pair.client.ping(bytes(8))
    pair.exchange()
    assert any(isinstance(event, PingAckReceived) for event in pair.received)


def test_a_connection_that_refuses_calls_ends_with_the_last(pair):
    """The call that is open is answered; one that comes later is no call any more."""
    stream_id, [(_, stream, _, _)] = pair.call()
    pair.server.refuse_calls()
    late = pair.open(end=True)
    data = pair.client.data_to_send()
    goodbye = b"".join(pair.server.data_to_send())
    assert pair.server.receive(data, 1) == []
    assert not pair.server.done
    pair.server.send_message(stream, [b"x"])
    pair.server.send_trailers(stream, 0)
    answer = b"".join(pair.server.data_to_send())
    assert answer
    assert pair.server.done
    pair.received += pair.client.receive_data(goodbye)
    [event] = goodbyes(pair)
    assert (event.error_code, event.last_stream_id) == (ErrorCodes.NO_ERROR, stream_id)
    assert late > stream_id


def test_refusing_calls_after_the_end_does_nothing(pair):
    """Neither after a goodbye nor after a failure."""
    pair.server.terminate()
    pair.server.refuse_calls()
    pair.exchange()
    assert len(goodbyes(pair)) == 1
    broken = http2.Connection(())
    with pytest.raises(http2.ProtocolError):
        broken.receive(b"no HTTP/2 at all, whatever it is", 1)
    broken.refuse_calls()


def test_a_connection_that_is_gone_holds_nothing(pair):
    """Answers that were not sent are freed, though somebody still refers to the connection."""

    class Owned(bytearray):
        pass

    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    _, [(_, stream, _, _)] = pair.call()
    owned = Owned(50_000)
    alive = weakref.ref(owned)
    pair.server.send_message(stream, [owned])
    pair.exchange()
    del owned
    gc.collect()
    assert alive() is not None
    pair.server.forget()
    assert alive() is None
    pair.server.send_message(stream, [b"late"])
    pair.server.send_trailers(stream, 0)
    assert stream.unsent == 0
    assert pair.server.done
    assert pair.server.data_to_send() == []
