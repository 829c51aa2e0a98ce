"""What a load process is told: where to send what, and how much of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Where requests go and the bytes they are.

    Attributes:
        protocol: ``"http"`` or ``"grpc"``.
        host: The server's host.
        port: Its port.
        tls: Whether HTTP goes over TLS.
        requests: The requests in turn: over HTTP with their heads, over gRPC messages with
            their prefixes.
        path: The gRPC method.
        headers: Further metadata of gRPC calls.
        streaming: Whether requests go over ``ModelStreamInfer``.
        decoupled: Whether a request of a stream ends with the response marked final.
        connections: At most so many connections per process; over HTTP for rates only.
    """

    protocol: str
    host: str
    port: int
    requests: tuple[bytes, ...]
    tls: bool = False
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    streaming: bool = False
    decoupled: bool = False
    connections: int = 1

    @property
    def authority(self) -> str:
        """``HOST:PORT``, as the protocols write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Level:
    """
    How much load.

    Attributes:
        concurrency: Requests kept in flight; 0 when there is a rate.
        rate: Requests per second; 0 when there is a concurrency.
        poisson: Whether the intervals of a rate are exponential, not constant.
        requests: End after so many requests; 0 for no end.
        index: Which of the processes this is for.
        processes: How many there are.
    """

    concurrency: int = 0
    rate: float = 0.0
    poisson: bool = False
    requests: int = 0
    index: int = 0
    processes: int = 1


def shares(total: int, parts: int) -> list[int]:
    """Return whole numbers that add up to ``total`` and differ by one at most."""
    share, more = divmod(total, parts)
    return [share + (index < more) for index in range(parts)]


def split(level: Level, processes: int) -> list[Level]:
    """Return every process's part of a level; a rate is split by its arrivals."""
    return [
        Level(concurrency, level.rate, level.poisson, requests, index, processes)
        for index, (concurrency, requests) in enumerate(
            zip(
                shares(level.concurrency, processes), shares(level.requests, processes), strict=True
            )
        )
    ]
