"""
A connection of the native transport as its watch sees it.
"""

import time
from collections.abc import Callable

from inferd_kernels.wire import _http2

from inferd.frontends.grpc.keepalive import Traffic


class WatchedKernel:
    """
    One connection.

    Args:
        kernel: Its HTTP/2.
        write: Writes what the kernel has to send, and closes the connection when it is done.
        abort: Closes it at once.
    """

    __slots__ = ("_kernel", "_made_ns", "_write", "abort")

    def __init__(
        self,
        kernel: _http2.Connection,
        write: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._write = write
        self._made_ns = time.monotonic_ns()
        self.abort = abort

    def traffic(self) -> Traffic:
        """Return what was seen on the connection."""
        kernel = self._kernel
        return Traffic(kernel.heard_ns or self._made_ns, kernel.open_streams, kernel.sent)

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._kernel.ping()
        self._write()

    def announce_end(self) -> None:
        """Tell the peer to open its next calls elsewhere; those it opens still are served."""
        self._kernel.announce_shutdown()
        self._write()

    def refuse_calls(self) -> None:
        """Serve no further calls, and close when those that are open have ended."""
        self._kernel.refuse_calls()
        self._write()
