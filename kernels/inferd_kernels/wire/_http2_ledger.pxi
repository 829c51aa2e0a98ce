# How many bytes of messages there are, as the ledger is told.

cdef class _Accounting(_Session):
    """
    The connection's part of the ledger.

    A large message is reserved whole when its size is known, and refused if there is no
    room; its bytes are given back when its call is over, or by whoever claims them. Those of
    small messages are counted here, and the ledger is told when they have become many or
    few. While it is full, credit for them comes back when their call is over, and a
    connection that has a great many of them is refused more.
    """

    cdef bint _admit(self, Stream stream, int64_t size) except -1:
        """Count a message that begins; return whether there is room for it."""
        if self.ledger is None:
            return True
        if size > _LARGE_MESSAGE:
            if not self.ledger.reserve(size):
                return False
            stream.reserved += size
            return True
        if self.pressed and self.small_bytes + size > SMALL_BYTES_PRESSED:
            self._tell_small()
            if self.pressed:
                return False
        stream.small_bytes += size
        self.small_bytes += size
        if self.small_bytes - self.reported_bytes >= SMALL_BYTES_STEP:
            self._tell_small()
        return True

    cdef int _tell_small(self) except -1:
        cdef Py_ssize_t change = self.small_bytes - self.reported_bytes
        self.reported_bytes = self.small_bytes
        self.pressed = self.ledger.add(change)
        return 0

    cdef int _forget_small(self, Stream stream) except -1:
        self.small_bytes -= stream.small_bytes
        stream.small_bytes = 0
        if self.reported_bytes and (
            not self.small_bytes or self.reported_bytes - self.small_bytes >= SMALL_BYTES_STEP
        ):
            self._tell_small()
        return 0

    cdef int _count_queued(self, Stream stream, Py_ssize_t size) except -1:
        stream.queued += size
        self.ledger.add(size)
        return 0

    cdef int _forget_queued(self, Stream stream) except -1:
        cdef Py_ssize_t size = stream.queued
        stream.queued = 0
        self.ledger.add(-size)
        return 0

    cdef int _forget_bytes(self, Stream stream) except -1:
        """The call is over, or its connection is."""
        cdef Py_ssize_t size = stream.reserved
        if stream.small_bytes:
            self._forget_small(stream)
        if size:
            stream.reserved = 0
            self.ledger.add(-size)
        if stream.queued:
            self._forget_queued(stream)
        return 0

    def claim(self, Stream stream, Py_ssize_t size):
        """
        Take the bytes of a large message over; whoever does gives them back to the ledger.

        Returns:
            Whether they were still the stream's to give.
        """
        if stream.reserved < size:
            return False
        stream.reserved -= size
        return True

    def forget(self):
        """
        Drop what was queued and what has come in part, and give back what the ledger knows of it.

        The connection is gone: whoever still refers to this object holds no message by it,
        and nothing works any more.
        """
        cdef Stream stream
        self.failed = True
        self.last_words = b""
        self.pieces.clear()
        self.uncopied = None
        for stream in self.streams.values():
            stream.forget_message()
            stream.outgoing.clear()
            stream.unsent = 0
            self._forget_bytes(stream)
        if self.reported_bytes != self.small_bytes:
            self._tell_small()
