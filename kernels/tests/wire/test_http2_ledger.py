"""What a connection tells the ledger of the bytes it holds."""

import pytest
from h2.settings import SettingCodes

http2 = pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")

LARGE = http2.LARGE_MESSAGE + 1


def framed(body, flag=0):
    """Put gRPC's prefix before a message."""
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


class Ledger:
    """A ledger as the kernel knows it."""

    def __init__(self, limit=1 << 40):
        self.limit = limit
        self.held = 0

    def reserve(self, size):
        """Count a message if there is room for it."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def add(self, change):
        """Count bytes that are there anyway."""
        self.held += change
        return self.held >= self.limit


@pytest.fixture
def ledger():
    """A ledger of its own for each test."""
    return Ledger()


@pytest.fixture
def counted(make_pair, ledger):
    """A pair that tells the ledger."""
    return make_pair(ledger=ledger)


def begin(pair, size, sent=10):
    """Begin to send a message of a size; return the client's stream and the events."""
    stream_id = pair.open()
    pair.client.send_data(stream_id, b"\0" + size.to_bytes(4, "big") + bytes(sent))
    return stream_id, pair.exchange()


def answer(pair, stream, body=b"x"):
    """Answer a call."""
    pair.server.send_message(stream, [body])
    pair.server.send_trailers(stream, 0)
    pair.exchange()


def test_a_large_message_is_reserved_whole_when_it_begins(counted, ledger):
    """And given back when its call is answered."""
    stream_id, [(_, stream)] = begin(counted, LARGE)
    assert ledger.held == LARGE
    for _ in range(4):
        counted.client.send_data(stream_id, bytes(15_000))
        counted.exchange()
    counted.client.send_data(stream_id, bytes(LARGE - 60_010), end_stream=True)
    events = counted.exchange()
    assert [event[0] for event in events] == [http2.MESSAGE, http2.ENDED]
    assert ledger.held == LARGE
    answer(counted, stream)
    assert ledger.held == 0


def test_a_message_that_is_not_large_is_taken(make_pair):
    """However full it is."""
    ledger = Ledger(0)
    pair = make_pair(ledger=ledger)
    _, [(kind, stream)] = begin(pair, LARGE - 1)
    assert kind == http2.OPENED
    answer(pair, stream)
    assert ledger.held == 0


def test_a_message_without_room_is_refused_before_it_is_read(make_pair):
    """What follows of it is dropped, nothing is counted, and other calls go on."""
    ledger = Ledger(LARGE)
    pair = make_pair(ledger=ledger)
    first, _ = begin(pair, LARGE)
    second, events = begin(pair, LARGE)
    assert [(event[0], *event[2:]) for event in events] == [
        (http2.OPENED,), (http2.NO_ROOM, LARGE),
    ]  # fmt: skip
    refused = events[0][1]
    pair.client.send_data(second, bytes(10_000))
    assert pair.exchange() == []
    assert (refused.received, refused.expected) == (0, -1)
    assert ledger.held == LARGE
    pair.server.send_trailers(refused, 8, "no room", True)
    pair.exchange()
    assert pair.headers(second)["grpc-status"] == "8"
    assert pair.reset_code(second) == 0
    pair.client.reset_stream(first)
    assert [event[0] for event in pair.exchange()] == [http2.RESET]
    assert ledger.held == 0


@pytest.mark.parametrize("size", [LARGE, 3 * LARGE])
def test_a_connection_that_is_gone_gives_everything_back(counted, ledger, size):
    """Half messages, whole ones and small ones; once."""
    begin(counted, size)
    counted.call(bytes(60_000))
    counted.client.send_data(counted.open(), framed(bytes(60_000)))
    counted.exchange()
    for _ in range(4):
        begin(counted, 60_000)
    assert ledger.held > size
    counted.server.forget()
    counted.server.forget()
    assert ledger.held == 0


def test_small_messages_are_told_when_they_are_many(counted, ledger):
    """In steps of 256 KiB, up and down, and when there is none left."""
    streams = []
    for n in range(8):
        _, [(_, stream, _, _)] = counted.call(bytes(60_000))
        streams.append(stream)
        assert ledger.held == (300_000 if n >= 4 else 0)
    for n, stream in enumerate(streams):
        answer(counted, stream)
        assert ledger.held == (300_000 if n < 7 else 0)


def test_a_stream_is_not_charged_for_what_was_taken_from_it(counted, ledger):
    """However much has gone through it."""
    stream_id = counted.open()
    counted.exchange()
    for _ in range(20):
        counted.client.send_data(stream_id, framed(bytes(16_000)))
        [(_, stream, _, _)] = counted.exchange()
        counted.server.take(stream)
    assert ledger.held == 0


@pytest.mark.parametrize(("limit", "is_full"), [(300_000, True), (300_001, False)])
def test_while_it_is_full_credit_comes_with_the_answers(make_pair, limit, is_full):
    """Not with the bytes, so that a client has no more under way than its window."""
    pair = make_pair(ledger=Ledger(limit), connection_window=1_000_000)
    streams = [pair.call(bytes(60_000))[1][0][1] for _ in range(5)]
    before = pair.client.outbound_flow_control_window
    streams += [pair.call(bytes(60_000))[1][0][1] for _ in range(11)]
    after = pair.client.outbound_flow_control_window
    assert (before - after > 600_000) is is_full
    for stream in streams:
        answer(pair, stream)
    assert pair.client.outbound_flow_control_window > 500_000


def test_while_it_is_full_nobody_has_a_great_many_small_messages(make_pair):
    """A MiB of them and no more, until there is room again; others' are taken meanwhile."""
    ledger = Ledger(300_000)
    pair, other = make_pair(ledger=ledger), make_pair(ledger=ledger)
    streams = [pair.call(bytes(1 << 16))[1][0][1] for _ in range(16)]
    _, events = pair.call(b"x")
    assert [event[0] for event in events] == [http2.OPENED, http2.NO_ROOM, http2.ENDED]
    _, [(kind, *_)] = other.call(bytes(1 << 16))
    assert kind == http2.MESSAGE
    ledger.limit = 1 << 40
    _, [(kind, last, *_)] = pair.call(b"x")
    assert kind == http2.MESSAGE
    for stream in (*streams, last):
        answer(pair, stream)
    other.server.forget()
    assert ledger.held == 0


def test_full_or_not_a_message_that_has_room_gets_credit(make_pair):
    """What has begun can be finished."""
    ledger = Ledger(2_300_000)
    pair = make_pair(ledger=ledger, connection_window=1_000_000, stream_window=500_000)
    stream_id, _ = begin(pair, 2_000_000, sent=0)
    for _ in range(5):
        pair.call(bytes(60_000))
    assert ledger.held == ledger.limit
    left = 2_000_000
    while left:
        room = min(pair.client.local_flow_control_window(stream_id), 16_384, left)
        assert room
        pair.client.send_data(stream_id, bytes(room))
        left -= room
        events = pair.exchange()
    assert events[0][0] == http2.MESSAGE


def test_a_message_can_be_claimed(counted, ledger):
    """Whoever does gives its bytes back, and the end of the call does not; once."""
    _, [(_, stream)] = begin(counted, LARGE)
    assert counted.server.claim(stream, LARGE)
    assert not counted.server.claim(stream, LARGE)
    answer(counted, stream)
    assert ledger.held == LARGE


def test_a_large_answer_counts_until_it_is_sent(counted, ledger):
    """A client that does not read it has it counted; one that hangs up has not."""
    counted.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    stream_id, [(_, stream, _, _)] = counted.call()
    other_id, [(_, other, _, _)] = counted.call()
    answer(counted, stream, bytes(LARGE))
    answer(counted, other, bytes(LARGE))
    assert ledger.held == 2 * LARGE
    counted.client.reset_stream(other_id)
    counted.exchange()
    assert ledger.held == LARGE
    counted.client.increment_flow_control_window(1_000_000, stream_id)
    counted.client.increment_flow_control_window(1_000_000)
    counted.exchange()
    assert ledger.held == 0
    assert len(counted.body(stream_id)) == LARGE + 5


def test_a_large_answer_to_a_connection_that_is_gone_is_forgotten(counted, ledger):
    """As its request is."""
    counted.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    _, [(_, stream, _, _)] = counted.call()
    answer(counted, stream, bytes(LARGE))
    counted.server.forget()
    assert ledger.held == 0


def test_a_defect_of_the_ledger_is_raised(make_pair):
    """It is not taken for the peer's fault."""
    pair = make_pair(ledger=object())
    with pytest.raises(AttributeError):
        begin(pair, LARGE)
