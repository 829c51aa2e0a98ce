"""
Reads HTTP/1.1 responses out of received bytes, without I/O.

Bodies are dropped, except the beginnings of those that report an error.
"""

from typing import Final

import httptools

_KEPT_BYTES: Final = 4096


class ProtocolError(Exception):
    """The bytes are not what the protocol allows."""


class ResponseReader:
    """
    Reads the responses of one connection; one at a time, since requests are not pipelined.

    Attributes:
        status: The status code of the last response.
        body: The beginning of its body when the status is not 200; else empty.
        closes: Whether the server closes the connection after it.
    """

    __slots__ = ("_complete", "_parser", "body", "closes", "status")

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.closes = False
        self._complete = False
        self._parser = httptools.HttpResponseParser(self)

    def receive(self, data: bytes) -> bool:
        """
        Take received bytes and return whether they complete a response.

        Raises:
            ProtocolError: They are no response.
        """
        self._complete = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ProtocolError(f"no HTTP/1.1 response: {data[:40]!r}: {error}") from error
        return self._complete

    def on_message_begin(self) -> None:
        """Forget the last response; called by the parser, like the two that follow."""
        self.body = b""

    def on_body(self, data: bytes) -> None:
        """Keep the beginning of an error."""
        if self._parser.get_status_code() != 200:
            self.body += data[: _KEPT_BYTES - len(self.body)]

    def on_message_complete(self) -> None:
        """Take note of a response that is not an interim one (RFC 9110 section 15.2)."""
        self.status = self._parser.get_status_code()
        self.closes = not self._parser.should_keep_alive()
        self._complete = self.status >= 200
