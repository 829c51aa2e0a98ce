"""
Inferences that are started without being awaited, as the frontend and its transports see them.
"""

from collections.abc import Callable

from inferd.protocol.infer_protobuf import RequestMessage
from inferd.scheduling.pending import AnswerFuture, Started

Start = Callable[[RequestMessage, AnswerFuture], Started | None]
"""Starts an inference that a future gets the answer of; ``None``: it has to be awaited."""
