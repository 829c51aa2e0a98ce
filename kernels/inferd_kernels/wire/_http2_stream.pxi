# One call, and the buffers on its way out.

cdef class _Segment:
    """A buffer on its way out; holds it until it is dropped."""

    cdef Py_buffer view
    cdef bint held
    cdef object source

    def __cinit__(self, object source):
        PyObject_GetBuffer(source, &self.view, PyBUF_SIMPLE)
        self.held = True
        self.source = source

    cdef object part(self, Py_ssize_t start, Py_ssize_t size):
        """Return a view of some of its bytes; refers to the buffer by itself."""
        return memoryview(self.source).cast("B")[start:start + size]

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef class Stream:
    """
    One call.

    Attributes:
        id: HTTP/2's number of it.
        path: ``:path``.
        method: ``:method``.
        content_type: The header, or ``""``.
        timeout: ``grpc-timeout`` as it came, or ``None``.
        encoding: ``grpc-encoding``, or ``""``.
        accepted: ``grpc-accept-encoding``, or ``""``; kept where the connection asks for it.
        metadata: The other headers that are metadata, as pairs of bytes.
        plain: Whether all of ``metadata`` is ASCII and none of it binary.
        headers_too_large: Whether the header list was longer than allowed; it is incomplete then.
        ended: Whether the client has half-closed.
        closed: Whether nothing can be sent any more.
        received: Bytes of the message that is incomplete.
        expected: Its size; -1 between messages and inside a prefix.
        inside_prefix: Whether the client has sent a part of a prefix.
        unsent: Bytes queued and not yet part of the output.
        owner: Whatever the application likes.
    """

    cdef readonly int32_t id
    cdef readonly str path, method, content_type, timeout, encoding, accepted
    cdef readonly list metadata
    cdef readonly bint plain, headers_too_large, ended, closed
    cdef readonly Py_ssize_t unsent
    cdef public object owner
    cdef Py_ssize_t header_bytes
    cdef uint8_t prefix[PREFIX_BYTES]
    cdef int prefix_bytes
    cdef PyObject *body
    cdef Py_ssize_t body_bytes, body_capacity, body_size
    cdef Py_ssize_t withheld, reserved, small_bytes, queued
    cdef int untaken
    cdef bint compressed, discarding, reported, answered
    cdef list outgoing
    cdef Py_ssize_t out_index, out_offset
    cdef bint started, deferred, finished, reset_at_end
    cdef object trailers

    def __cinit__(self):
        self.path = ""
        self.method = _POST
        self.content_type = ""
        self.encoding = ""
        self.accepted = ""
        self.metadata = []
        self.plain = True
        self.outgoing = []
        self.body_size = -1

    def __dealloc__(self):
        Py_XDECREF(self.body)

    @property
    def received(self):
        """Bytes of the message that is incomplete."""
        return self.body_bytes

    @property
    def expected(self):
        """Size of the message that is incomplete; -1 when there is none."""
        return self.body_size

    @property
    def inside_prefix(self):
        """Whether the client has sent a part of a prefix."""
        return self.body_size < 0 and self.prefix_bytes > 0

    @property
    def is_plain(self):
        """
        Whether the client has said all it will, and there is nothing to look at but the path.

        A POST of ``application/grpc`` without a timeout, whose metadata is ASCII.
        """
        return (
            self.ended and self.timeout is None and self.plain and not self.headers_too_large
            and self.method is _POST and self.content_type is _GRPC
        )

    cdef void forget_message(self) noexcept:
        Py_XDECREF(self.body)
        self.body = NULL
        self.body_bytes = self.body_capacity = 0
        self.body_size = -1
        self.prefix_bytes = 0
