"""What a load process is told: where to send what, and how much of it."""

from dataclasses import dataclass, replace

from inferd.cli.benchmark.templates import Template
from inferd.cli.clients.tls import ClientTls


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """
    What sequences are made of.

    Attributes:
        streams: The requests of a sequence, in turn; sequences take one stream after the other.
        length: How many requests a sequence has, on the average; 0 for as many as its stream.
        variation: How many percent the length may be shorter or longer.
        live: How many sequences a rate is sent to; a concurrency is their number itself.
        first_id: The first id.
        end_id: The first id that is not used any more, so that ids begin again; 0 for none.
    """

    streams: tuple[tuple[Template, ...], ...]
    length: int = 0
    variation: float = 0.0
    live: int = 1
    first_id: int = 1
    end_id: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Where requests go and the bytes they are.

    Attributes:
        protocol: ``"http"`` or ``"grpc"``.
        host: The server's host.
        port: Its port.
        tls: How connections are encrypted; ``None`` for plain text.
        socket_path: The path of a Unix domain socket, in place of host and port.
        requests: The requests in turn: over HTTP with their heads, over gRPC messages with
            their prefixes.
        path: The gRPC method.
        headers: Further metadata of gRPC calls.
        streaming: Whether requests go over ``ModelStreamInfer``.
        decoupled: Whether a request of a stream ends with the response marked final.
        connections: At most so many connections per process; over HTTP for rates only.
        sequences: What sequences are made of, for a model that takes them; replaces
            ``requests``.
    """

    protocol: str
    host: str
    port: int
    requests: tuple[bytes, ...]
    tls: ClientTls | None = None
    socket_path: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    streaming: bool = False
    decoupled: bool = False
    connections: int = 1
    sequences: SequencePlan | None = None

    @property
    def address(self) -> str:
        """What a person calls the place."""
        return f"unix:{self.socket_path}" if self.socket_path else self.authority

    @property
    def authority(self) -> str:
        """``HOST:PORT``, as the protocols write it; over a Unix domain socket ``localhost``."""
        if self.socket_path:
            return "localhost"
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
        intervals: The intervals of a rate in nanoseconds, again and again; empty for those of
            ``poisson``.
        requests: End after so many requests; 0 for no end.
        index: Which of the processes this is for.
        processes: How many there are.
    """

    concurrency: int = 0
    rate: float = 0.0
    poisson: bool = False
    intervals: tuple[int, ...] = ()
    requests: int = 0
    index: int = 0
    processes: int = 1


def shares(total: int, parts: int) -> list[int]:
    """Return whole numbers that add up to ``total`` and differ by one at most."""
    share, more = divmod(total, parts)
    return [share + (index < more) for index in range(parts)]


def parts(plan: Plan, level: Level, processes: int) -> int:
    """Return how many of the processes have something to do: no more than requests in flight."""
    if level.concurrency:
        return min(processes, level.concurrency)
    return min(processes, plan.sequences.live) if plan.sequences else processes


def split(level: Level, processes: int) -> list[Level]:
    """Return every process's part of a level; a rate is split by its arrivals."""
    return [
        replace(level, concurrency=concurrency, requests=requests, index=index, processes=processes)
        for index, (concurrency, requests) in enumerate(
            zip(
                shares(level.concurrency, processes), shares(level.requests, processes), strict=True
            )
        )
    ]
