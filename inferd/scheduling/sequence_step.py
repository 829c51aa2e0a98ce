"""A request of a sequence between its arrival at the scheduler and its answer."""

from collections.abc import Hashable

from inferd.protocol.messages import InferRequest
from inferd.scheduling.decoupled import Sender
from inferd.scheduling.pending import AnswerFuture
from inferd.scheduling.replies import ReplyStream


class Step:
    """A request of a sequence on its way through the scheduler, and its answer's future."""

    __slots__ = (
        "again",
        "discarded",
        "enqueued_ns",
        "future",
        "once",
        "queued",
        "request",
        "sender",
        "shape_key",
        "stream",
    )

    def __init__(
        self,
        request: InferRequest,
        shape_key: Hashable,
        enqueued_ns: int,
        future: AnswerFuture,
    ) -> None:
        self.request = request
        self.shape_key = shape_key
        self.enqueued_ns = enqueued_ns
        self.future = future
        self.discarded = False
        self.queued = True
        self.once = self.again = False
        self.stream: ReplyStream | None = None
        # Kept while the request may be executed again; the backend would end it by dropping it.
        self.sender: Sender | None = None
