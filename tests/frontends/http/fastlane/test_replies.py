"""Answers of the lane as bytes."""

from inferd.errors import NotFound
from inferd.frontends.http.fastlane import replies
from inferd.frontends.http.inference import JOIN_BYTES, Answer
from inferd.protocol.infer_json import EncodedResponse


def test_an_answer_is_one_piece():
    """Head and body of a small answer are written together."""
    reply = replies.good(Answer({"A": "b"}, (b"bo", b"dy")))
    assert replies.pieces(reply, b"T: t\r\n\r\n") == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\nT: t\r\n\r\nbody",
    )


def test_large_answers_are_not_copied():
    """Above the limit the tensors are written as they are."""
    fits, large = memoryview(bytes(JOIN_BYTES)), memoryview(bytes(JOIN_BYTES + 1))
    assert len(replies.pieces(replies.good(Answer({}, (fits,))), b"\r\n")) == 1
    assert replies.pieces(replies.good(Answer({}, (large,))), b"\r\n")[1] is large


def test_errors_have_their_status():
    """An error is answered as the application would."""
    reply = replies.failed(NotFound("no such model"))
    assert reply.head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert reply.body == (b'{"error":"no such model"}',)


def test_the_end_of_the_json_is_told_when_tensors_follow_it():
    """An answer in JSON has no such header, one with binary tensors has."""
    plain = replies.encoded(EncodedResponse(b"{}", []))
    assert (plain.head.count(b"\r\n"), plain.body) == (2, (b"{}",))
    assert b"Content-Type: application/json\r\n" in plain.head
    binary = replies.encoded(EncodedResponse(b"{ }", [b"ab"]))
    assert b"Content-Type: application/octet-stream\r\n" in binary.head
    assert b"Inference-Header-Content-Length: 3\r\n" in binary.head
    assert binary.body == (b"{ }", b"ab")


def test_tails_say_whether_the_connection_ends():
    """The last headers are date, server and, at the end, Connection: close."""
    tails = replies.Tails()
    keeping, closing = tails.get(closes=False), tails.get(closes=True)
    assert keeping.startswith(b"Date: ")
    assert keeping.endswith(b"\r\n\r\n")
    assert b"\r\nServer: " in keeping
    assert closing.endswith(b"\r\nConnection: close\r\n\r\n")
