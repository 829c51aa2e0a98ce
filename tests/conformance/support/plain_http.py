"""One keep-alive HTTP connection that never reconnects behind the test's back."""

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """
    What the server answered.

    Attributes:
        status: The status code.
        headers: The headers, names in lower case.
        body: The whole body.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The text of an error body."""
        return str(json.loads(self.body)["error"])

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)


class PlainHttp:
    """
    A connection to one server, as thin as the standard library allows.

    Args:
        address: ``host:port``.

    Raises:
        http.client.NotConnected: A request is sent after the server closed the connection.
    """

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self._connection.connect()
        self._connection.auto_open = 0

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request and read its whole answer."""
        self.send(method, path, body, headers)
        return self.receive()

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send one request and do not wait for its answer."""
        self._connection.request(method, path, body=body or None, headers=headers or {})

    def receive(self) -> Reply:
        """Read the whole answer of the request sent last."""
        answer = self._connection.getresponse()
        names = {k.lower(): v for k, v in answer.getheaders()}
        return Reply(answer.status, names, answer.read())

    def get(self, path: str) -> Reply:
        """Send a GET."""
        return self.request("GET", path)

    def post(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send a POST."""
        return self.request(
            "POST", path, body, {"Content-Length": str(len(body)), **(headers or {})}
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __del__(self) -> None:
        # A test that fails before it closes must fail for its own reason alone.
        self.close()
