# cython: boundscheck=False, wraparound=False, cdivision=True
"""
HTTP/2 with gRPC's framing for one server connection, over nghttp2 and without I/O.

Bytes go in by :meth:`Connection.receive`, which returns what the application must know:
one event per complete message. Answers are queued by the ``send_*`` methods and come out
as bytes of :meth:`Connection.data_to_send`.

Ownership: nghttp2 keeps two kinds of pointers, to the connection, which owns the session,
and to a stream, which the connection's dictionary owns until nghttp2 says that it closed.
Bytes of a message are copied on their way in; on their way out a message's buffers are
held by a :class:`_Segment` until they are copied into the output.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from inferd_kernels.wire.nghttp2 cimport *


cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **, Py_ssize_t) except -1
    void Py_DECREF(PyObject *)
    PyObject *PyBytes_New "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL


OPENED = 0
MESSAGE = 1
ENDED = 2
RESET = 3
TOO_LARGE = 4

cdef enum:
    _OPENED = 0
    _MESSAGE = 1
    _ENDED = 2
    _RESET = 3
    _TOO_LARGE = 4
    PREFIX_BYTES = 5
    FIRST_ALLOCATION = 16384
    SMALL_MESSAGE = 16384
    OUTPUT_CHUNK = 262144
    OUTPUT_LIMIT = 1048576
    LARGEST_FRAME_SENT = 262144
    HEADER_OVERHEAD = 32
    DEFAULT_WINDOW = 65535
    MAX_OUTBOUND_ACKS = 1000
    MAX_SETTINGS = 32
    FATAL = -900

cdef str _POST = "POST"
cdef str _GRPC = "application/grpc"
cdef bytes _STATUS = b"grpc-status"
cdef bytes _MESSAGE_NAME = b"grpc-message"
cdef bytes _OK = b"0"


class ProtocolError(Exception):
    """The peer broke HTTP/2; the connection must be closed once its output is written."""


cdef class _Segment:
    """A buffer on its way out; holds it until it is dropped."""

    cdef Py_buffer view
    cdef bint held

    def __cinit__(self, object source):
        PyObject_GetBuffer(source, &self.view, PyBUF_SIMPLE)
        self.held = True

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
    cdef readonly str path, method, content_type, timeout, encoding
    cdef readonly list metadata
    cdef readonly bint plain, headers_too_large, ended, closed
    cdef readonly Py_ssize_t unsent
    cdef public object owner
    cdef Py_ssize_t header_bytes
    cdef uint8_t prefix[PREFIX_BYTES]
    cdef int prefix_bytes
    cdef PyObject *body
    cdef Py_ssize_t body_bytes, body_capacity, body_size
    cdef Py_ssize_t withheld
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

    cdef void forget_message(self) noexcept:
        Py_XDECREF(self.body)
        self.body = NULL
        self.body_bytes = self.body_capacity = 0
        self.body_size = -1
        self.prefix_bytes = 0


cdef class Connection:
    """
    One connection.

    Args:
        response_headers: Headers that open every answer, ``:status`` first.
        max_message_bytes: The largest message taken, judged by its prefix.
        stream_window: Bytes a client may send on a stream that nobody takes from.
        connection_window: The same of all streams together.
        max_frame_bytes: The largest frame taken.
        max_streams: Calls at the same time.
        max_header_bytes: Header list of a call, counted as RFC 9113 section 6.5.2 does.
        reset_burst: Calls a client may give up in a row.
        resets_per_second: How fast it may go on doing so.

    Raises:
        MemoryError: There is none.
    """

    cdef nghttp2_session *session
    cdef dict streams
    cdef list events, opened, frame_messages, base_headers
    cdef Stream frame_stream
    cdef object error
    cdef int64_t max_message_bytes
    cdef Py_ssize_t max_header_bytes, header_block_bytes, consumed
    cdef bint in_headers, terminating
    cdef readonly bint failed
    cdef double resets_left, reset_burst, resets_per_ns
    cdef int64_t now_ns
    cdef char *output
    cdef Py_ssize_t output_bytes, output_capacity
    cdef bytes last_words
    cdef readonly Py_ssize_t pongs

    def __cinit__(
        self,
        response_headers,
        *,
        int64_t max_message_bytes=2147483647,
        int32_t stream_window=8388608,
        int32_t connection_window=33554432,
        uint32_t max_frame_bytes=1048576,
        uint32_t max_streams=1024,
        uint32_t max_header_bytes=65536,
        double reset_burst=2000,
        double resets_per_second=200,
    ):
        self.streams = {}
        self.events = []
        self.opened = []
        self.frame_messages = []
        self.base_headers = [(bytes(name), bytes(value)) for name, value in response_headers]
        self.max_message_bytes = max_message_bytes
        self.max_header_bytes = max_header_bytes
        self.resets_left = self.reset_burst = reset_burst
        self.resets_per_ns = resets_per_second / 1e9
        self.last_words = b""
        self._open_session()
        self._greet(stream_window, connection_window, max_frame_bytes, max_streams)

    def __dealloc__(self):
        if self.session is not NULL:
            nghttp2_session_del(self.session)
        free(self.output)

    cdef int _open_session(self) except -1:
        cdef nghttp2_session_callbacks *callbacks = NULL
        cdef nghttp2_option *option = NULL
        try:
            if nghttp2_session_callbacks_new(&callbacks) or nghttp2_option_new(&option):
                raise MemoryError
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
            nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
            nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, _on_invalid_header)
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame)
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data)
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_frame_sent)
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_close)
            nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, _frame_size)
            nghttp2_option_set_no_auto_window_update(option, 1)
            nghttp2_option_set_no_closed_streams(option, 1)
            nghttp2_option_set_max_outbound_ack(option, MAX_OUTBOUND_ACKS)
            nghttp2_option_set_max_settings(option, MAX_SETTINGS)
            # The budget of this class is the one that counts: it is told apart from errors.
            inferd_set_reset_limit(option, 1 << 40, 1 << 40)
            if nghttp2_session_server_new2(&self.session, callbacks, <void *>self, option):
                raise MemoryError
        finally:
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(option)
        return 0

    cdef int _greet(
        self, int32_t stream_window, int32_t connection_window, uint32_t frame, uint32_t streams
    ) except -1:
        cdef nghttp2_settings_entry[4] settings
        settings[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        settings[0].value = streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = stream_window
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_FRAME_SIZE
        settings[2].value = frame
        settings[3].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[3].value = <uint32_t>self.max_header_bytes
        if nghttp2_submit_settings(self.session, NGHTTP2_FLAG_NONE, settings, 4):
            raise ValueError("settings out of range")
        if connection_window > DEFAULT_WINDOW:
            if nghttp2_session_set_local_window_size(
                self.session, NGHTTP2_FLAG_NONE, 0, connection_window
            ):
                raise ValueError("connection_window out of range")
        return 0

    @property
    def done(self):
        """Whether the connection has nothing left to say or to hear and can be closed."""
        if self.failed:
            return True
        return not (
            nghttp2_session_want_read(self.session) or nghttp2_session_want_write(self.session)
        )

    @property
    def wants_write(self):
        """Whether :meth:`data_to_send` has something to return."""
        if self.failed:
            return bool(self.last_words)
        return bool(nghttp2_session_want_write(self.session))

    @property
    def open_streams(self):
        """How many calls are neither answered nor given up."""
        return len(self.streams)

    @property
    def unanswered(self):
        """How many calls the application knows of whose answer is not part of the output."""
        cdef Stream stream
        cdef int count = 0
        for stream in self.streams.values():
            count += stream.reported and not stream.answered
        return count

    def receive(self, data, int64_t now_ns):
        """
        Take bytes from the peer.

        Args:
            data: The bytes; nothing refers to them afterwards.
            now_ns: The time, monotonic.

        Returns:
            Events, in order: ``(OPENED, stream)`` for a call whose first message is not
            here yet; ``(MESSAGE, stream, body, compressed)``, the first of which opens a
            call that was not; ``(ENDED, stream)`` for a half-close, which ``stream.ended`` says
            already when the call is opened; ``(RESET, stream)``; ``(TOO_LARGE, stream, size)``,
            after which nothing more of the call's data is taken.

        Raises:
            ProtocolError: The peer broke HTTP/2 in a way that nothing can follow.
        """
        cdef _Segment source = _Segment(data)
        cdef ssize_t taken
        cdef Stream stream
        if self.failed:
            return []
        self._refill(now_ns)
        taken = nghttp2_session_mem_recv(
            self.session, <const uint8_t *>source.view.buf, <size_t>source.view.len
        )
        if self.error is not None or taken < 0:
            self._fail(<int>taken)
        if self.in_headers:
            self.header_block_bytes += source.view.len
            if self.header_block_bytes > 4 * self.max_header_bytes:
                self._fail(NGHTTP2_ERR_FLOODED)
        self._give_messages(False)
        for stream in self.opened:
            if not stream.reported and not stream.closed:
                stream.reported = True
                self.events.append((_OPENED, stream))
        self.opened.clear()
        self._return_credit()
        events, self.events = self.events, []
        return events

    cdef int _fail(self, int code) except -1:
        """Give the session up; nghttp2 forbids to use it any further."""
        error, self.error = self.error, None
        self.failed = True
        self.events.clear()
        self.opened.clear()
        if code == NGHTTP2_ERR_FLOODED:
            self.last_words = _goaway(NGHTTP2_ENHANCE_YOUR_CALM)
        elif code != NGHTTP2_ERR_BAD_CLIENT_MAGIC:
            self.last_words = _goaway(NGHTTP2_PROTOCOL_ERROR)
        if error is not None:
            raise error
        raise ProtocolError(nghttp2_strerror(code).decode())

    cdef void _refill(self, int64_t now_ns) noexcept:
        if now_ns > self.now_ns:
            if self.now_ns:
                self.resets_left += (now_ns - self.now_ns) * self.resets_per_ns
                if self.resets_left > self.reset_burst:
                    self.resets_left = self.reset_burst
            self.now_ns = now_ns

    cdef int _spend_reset(self) except -1:
        self.resets_left -= 1
        if self.resets_left < 0 and not self.terminating:
            self.terminating = True
            nghttp2_session_terminate_session(self.session, NGHTTP2_ENHANCE_YOUR_CALM)
        return 0

    cdef int _return_credit(self) except -1:
        if self.consumed and not self.failed:
            nghttp2_session_consume_connection(self.session, self.consumed)
            self.consumed = 0
        return 0

    cdef int _report(self, Stream stream) except -1:
        if not stream.reported:
            stream.reported = True
            self.events.append((_OPENED, stream))
        return 0

    cdef int _begin(self, int32_t stream_id) except -1:
        cdef Stream stream = Stream()
        stream.id = stream_id
        self.streams[stream_id] = stream
        nghttp2_session_set_stream_user_data(self.session, stream_id, <void *>stream)
        self.in_headers = True
        self.header_block_bytes = 0
        return 0

    cdef Stream _stream(self, int32_t stream_id):
        cdef void *found = nghttp2_session_get_stream_user_data(self.session, stream_id)
        return None if found is NULL else <Stream>found

    cdef int _header(
        self, Stream stream, const char *name, size_t name_size, const char *value, size_t size
    ) except -1:
        stream.header_bytes += name_size + size + HEADER_OVERHEAD
        if stream.header_bytes > self.max_header_bytes:
            stream.headers_too_large = True
            return 0
        if name[0] == c":":
            if name_size == 5 and memcmp(name, b":path", 5) == 0:
                stream.path = PyUnicode_DecodeLatin1(value, size, NULL)
            elif name_size == 7 and memcmp(name, b":method", 7) == 0:
                if not (size == 4 and memcmp(value, b"POST", 4) == 0):
                    stream.method = PyUnicode_DecodeLatin1(value, size, NULL)
        elif name_size >= 5 and memcmp(name, b"grpc-", 5) == 0:
            if name_size == 12 and memcmp(name, b"grpc-timeout", 12) == 0:
                if stream.timeout is None:
                    stream.timeout = PyUnicode_DecodeLatin1(value, size, NULL)
            elif name_size == 13 and memcmp(name, b"grpc-encoding", 13) == 0:
                if not stream.encoding:
                    stream.encoding = PyUnicode_DecodeLatin1(value, size, NULL)
        elif name_size == 12 and memcmp(name, b"content-type", 12) == 0:
            if size == 16 and memcmp(value, b"application/grpc", 16) == 0:
                stream.content_type = _GRPC
            else:
                stream.content_type = PyUnicode_DecodeLatin1(value, size, NULL)
        elif not (
            (name_size == 2 and memcmp(name, b"te", 2) == 0)
            or (name_size == 10 and memcmp(name, b"user-agent", 10) == 0)
        ):
            if not _is_ascii(name, name_size) or not _is_ascii(value, size):
                stream.plain = False
            elif name_size >= 4 and memcmp(name + name_size - 4, b"-bin", 4) == 0:
                stream.plain = False
            stream.metadata.append((name[:name_size], value[:size]))
        return 0

    cdef int _frame(self, const nghttp2_frame *frame) except -1:
        cdef Stream stream
        cdef uint8_t kind = frame.hd.type
        if kind == NGHTTP2_DATA:
            self._give_messages(frame.hd.flags & NGHTTP2_FLAG_END_STREAM)
            if not frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
                return 0
        elif kind == NGHTTP2_HEADERS:
            self.in_headers = False
        elif kind == NGHTTP2_PING and frame.hd.flags & NGHTTP2_FLAG_ACK:
            self.pongs += 1
            return 0
        else:
            return 0
        stream = self._stream(frame.hd.stream_id)
        if stream is None:
            return 0
        if kind == NGHTTP2_HEADERS and frame.headers.cat == NGHTTP2_HCAT_REQUEST:
            self.opened.append(stream)
        if frame.hd.flags & NGHTTP2_FLAG_END_STREAM and not stream.ended:
            stream.ended = True
            if stream.reported:
                self.events.append((_ENDED, stream))
        return 0

    cdef int _give_messages(self, bint ended) except -1:
        """Report the messages that the frame being read has completed."""
        cdef Stream stream = self.frame_stream
        if stream is None:
            return 0
        self.frame_stream = None
        if ended and not stream.reported:
            stream.ended = True
        for body, compressed in self.frame_messages:
            stream.reported = True
            self.events.append((_MESSAGE, stream, body, compressed))
        self.frame_messages.clear()
        return 0

    cdef int _data(
        self, Stream stream, const uint8_t *data, size_t size, bint last
    ) except -1:
        cdef int untaken = stream.untaken
        if not stream.discarding and not stream.finished:
            self._unframe(stream, data, size)
        if untaken and not stream.discarding:
            stream.withheld += size
            return 0
        self.consumed += size
        if not last:
            nghttp2_session_consume_stream(self.session, stream.id, size)
        return 0

    cdef int _unframe(self, Stream stream, const uint8_t *data, size_t left) except -1:
        cdef size_t size
        cdef int64_t announced
        while left:
            if stream.body_size < 0:
                size = min(<size_t>(PREFIX_BYTES - stream.prefix_bytes), left)
                memcpy(&stream.prefix[stream.prefix_bytes], data, size)
                stream.prefix_bytes += <int>size
                data += size
                left -= size
                if stream.prefix_bytes < PREFIX_BYTES:
                    return 0
                announced = (
                    (<int64_t>stream.prefix[1] << 24) | (<int64_t>stream.prefix[2] << 16)
                    | (<int64_t>stream.prefix[3] << 8) | <int64_t>stream.prefix[4]
                )
                if announced > self.max_message_bytes:
                    self._refuse(stream, announced)
                    return 0
                if announced <= <int64_t>left:
                    stream.prefix_bytes = 0
                    self._complete(
                        stream, PyBytes_FromStringAndSize(<const char *>data, announced)
                    )
                    data += announced
                    left -= announced
                    continue
                self._begin_body(stream, announced, left)
            size = min(<size_t>(stream.body_size - stream.body_bytes), left)
            self._append(stream, data, size)
            data += size
            left -= size
            if stream.body_bytes == stream.body_size:
                body = <object>stream.body
                stream.forget_message()
                self._complete(stream, body)
        return 0

    cdef int _begin_body(self, Stream stream, Py_ssize_t size, size_t left) except -1:
        """Allocate as much as has come, not as much as was announced."""
        stream.body_capacity = min(size, max(<Py_ssize_t>left, <Py_ssize_t>FIRST_ALLOCATION))
        stream.body = PyBytes_New(NULL, stream.body_capacity)
        stream.body_size = size
        stream.body_bytes = 0
        return 0

    cdef int _append(self, Stream stream, const uint8_t *data, size_t size) except -1:
        cdef Py_ssize_t needed = stream.body_bytes + <Py_ssize_t>size
        if needed > stream.body_capacity:
            stream.body_capacity = min(stream.body_size, max(needed, 2 * stream.body_capacity))
            # On failure it has freed the bytes and set the pointer to NULL.
            try:
                _PyBytes_Resize(&stream.body, stream.body_capacity)
            except MemoryError:
                stream.forget_message()
                raise
        memcpy(PyBytes_AS_STRING(<object>stream.body) + stream.body_bytes, data, size)
        stream.body_bytes = needed
        return 0

    cdef int _complete(self, Stream stream, object body) except -1:
        stream.untaken += 1
        self.frame_stream = stream
        self.frame_messages.append((body, stream.prefix[0] != 0))
        return 0

    cdef int _refuse(self, Stream stream, int64_t size) except -1:
        self._give_messages(False)
        stream.discarding = True
        stream.forget_message()
        self._report(stream)
        self.events.append((_TOO_LARGE, stream, size))
        return 0

    cdef int _close(self, int32_t stream_id, uint32_t code) except -1:
        cdef Stream stream = self.streams.pop(stream_id, None)
        if stream is None:
            return 0
        nghttp2_session_set_stream_user_data(self.session, stream_id, NULL)
        stream.closed = True
        self.consumed += stream.withheld
        stream.withheld = 0
        stream.forget_message()
        stream.outgoing.clear()
        stream.unsent = 0
        if self.frame_stream is stream:
            self._give_messages(False)
        if not stream.finished:
            if stream.reported:
                self.events.append((_RESET, stream))
            self._spend_reset()
        stream.finished = True
        return 0

    def take(self, Stream stream):
        """Note that the application has taken a message; returns credit when it has all."""
        if stream.untaken:
            stream.untaken -= 1
        if not stream.untaken and stream.withheld and not stream.closed and not self.failed:
            self.consumed += stream.withheld
            nghttp2_session_consume_stream(self.session, stream.id, stream.withheld)
            stream.withheld = 0
            self._return_credit()

    def send_message(self, Stream stream, buffers):
        """
        Queue a message, given as buffers that follow each other; dropped if the call is over.

        Raises:
            ValueError: It is larger than gRPC's prefix can say.
        """
        cdef list segments
        cdef _Segment segment
        cdef Py_ssize_t total = 0
        if stream.finished or self.failed:
            return
        segments = [_Segment(buffer) for buffer in buffers]
        for segment in segments:
            total += segment.view.len
        if total > 0xFFFFFFFF:
            raise ValueError(f"a message of {total} bytes does not fit gRPC's prefix")
        self._queue(stream, segments, total)
        if not stream.started:
            self._start(stream, self.base_headers, False)
        self._resume(stream)

    cdef int _queue(self, Stream stream, list segments, Py_ssize_t total) except -1:
        """Queue the prefix and the buffers; what is small becomes one piece."""
        cdef bint joined = total <= SMALL_MESSAGE
        cdef bytes head = PyBytes_FromStringAndSize(
            NULL, PREFIX_BYTES + (total if joined else 0)
        )
        cdef char *to = PyBytes_AS_STRING(head)
        cdef _Segment segment
        to[0] = 0
        to[1] = <char>((total >> 24) & 0xFF)
        to[2] = <char>((total >> 16) & 0xFF)
        to[3] = <char>((total >> 8) & 0xFF)
        to[4] = <char>(total & 0xFF)
        if joined:
            to += PREFIX_BYTES
            for segment in segments:
                memcpy(to, segment.view.buf, segment.view.len)
                to += segment.view.len
            stream.outgoing.append(_Segment(head))
        else:
            stream.outgoing.append(_Segment(head))
            stream.outgoing.extend(segments)
        stream.unsent += PREFIX_BYTES + total
        return 0

    def send_trailers(self, Stream stream, int status, str message=None, bint reset=False):
        """
        End a call after what is queued; without any message queued before, headers say it all.

        Args:
            stream: The call.
            status: gRPC's status.
            message: What went wrong.
            reset: Whether what the client still sends is unwanted; it is told so.
        """
        cdef list trailers
        if stream.finished or self.failed:
            return
        trailers = [(_STATUS, _OK if status == 0 else b"%d" % status)]
        if message:
            trailers.append((_MESSAGE_NAME, percent_encoded(message)))
        self._end(stream, self.base_headers, trailers, reset)

    def send_only_headers(self, Stream stream, headers):
        """Answer with these headers and no more; whatever the client still sends is unwanted."""
        if not stream.finished and not stream.started and not self.failed:
            self._end(stream, [(bytes(name), bytes(value)) for name, value in headers], [], True)

    cdef int _end(self, Stream stream, list headers, list trailers, bint reset) except -1:
        stream.finished = True
        stream.reset_at_end = reset
        if stream.started:
            stream.trailers = trailers
            self._resume(stream)
        else:
            self._start(stream, headers + trailers, True)
        return 0

    cdef int _start(self, Stream stream, list headers, bint only) except -1:
        cdef nghttp2_data_provider provider
        provider.source.ptr = NULL
        provider.read_callback = _read
        stream.started = True
        return self._submit(stream, headers, NULL if only else &provider, False)

    cdef int _submit(
        self, Stream stream, list headers, nghttp2_data_provider *provider, bint trailers
    ) except -1:
        cdef nghttp2_nv[16] fields
        cdef Py_ssize_t count = 0
        cdef int code
        if len(headers) > 16:
            raise ValueError("an answer has 16 headers at most")
        for name, value in headers:
            fields[count].name = <uint8_t *>PyBytes_AS_STRING(name)
            fields[count].namelen = len(<bytes>name)
            fields[count].value = <uint8_t *>PyBytes_AS_STRING(value)
            fields[count].valuelen = len(<bytes>value)
            fields[count].flags = NGHTTP2_NV_FLAG_NONE
            count += 1
        if trailers:
            code = nghttp2_submit_trailer(self.session, stream.id, fields, count)
        else:
            code = nghttp2_submit_response(self.session, stream.id, fields, count, provider)
        if code <= FATAL:
            raise MemoryError
        return 0

    cdef int _resume(self, Stream stream) except -1:
        if stream.deferred:
            stream.deferred = False
            nghttp2_session_resume_data(self.session, stream.id)
        return 0

    def reset(self, Stream stream, uint32_t code):
        """Reset a call with one of HTTP/2's error codes."""
        if stream.closed or self.failed:
            return
        stream.finished = True
        stream.discarding = True
        nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream.id, code)

    def ping(self):
        """Ask the peer for a sign of life; :attr:`pongs` counts them."""
        if not self.failed:
            nghttp2_submit_ping(self.session, NGHTTP2_FLAG_NONE, NULL)

    def announce_shutdown(self):
        """Tell the peer to open its next calls elsewhere; those it opens still are served."""
        if not self.failed:
            nghttp2_submit_shutdown_notice(self.session)

    def terminate(self, uint32_t code=0):
        """Say goodbye with an error code; the connection is done when that is written."""
        if not self.failed and not self.terminating:
            self.terminating = True
            nghttp2_session_terminate_session(self.session, code)

    def data_to_send(self):
        """
        Return what to write now, about 1 MiB at most, as a few pieces.

        Raises:
            ProtocolError: The session cannot go on.
        """
        cdef const uint8_t *data = NULL
        cdef ssize_t size
        cdef Py_ssize_t total = 0
        cdef list pieces = []
        if self.failed:
            last, self.last_words = self.last_words, b""
            return [last] if last else []
        while total < OUTPUT_LIMIT:
            size = nghttp2_session_mem_send(self.session, &data)
            if self.error is not None or size < 0:
                self._fail(<int>size)
            if size == 0:
                break
            self._put(data, size)
            total += size
            if self.output_bytes >= OUTPUT_CHUNK:
                pieces.append(self._take_output())
        if self.output_bytes:
            pieces.append(self._take_output())
        self._return_credit()
        return pieces

    def closed_while_sending(self):
        """Return events that :meth:`data_to_send` caused: calls that nghttp2 gave up."""
        events, self.events = self.events, []
        return events

    cdef int _put(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Py_ssize_t needed = self.output_bytes + size
        cdef Py_ssize_t capacity
        cdef char *grown
        if needed > self.output_capacity:
            capacity = max(needed, 2 * self.output_capacity, 4096)
            grown = <char *>realloc(self.output, capacity)
            if grown is NULL:
                raise MemoryError
            self.output = grown
            self.output_capacity = capacity
        memcpy(self.output + self.output_bytes, data, size)
        self.output_bytes = needed
        return 0

    cdef bytes _take_output(self):
        cdef bytes taken = PyBytes_FromStringAndSize(self.output, self.output_bytes)
        self.output_bytes = 0
        return taken

    cdef ssize_t _fill(
        self, Stream stream, uint8_t *buffer, size_t room, uint32_t *flags
    ) except? -1:
        """Copy what is queued of a stream into a frame."""
        cdef size_t filled = 0, size
        cdef _Segment segment
        cdef list outgoing = stream.outgoing
        while filled < room and stream.out_index < len(outgoing):
            segment = <_Segment>outgoing[stream.out_index]
            size = min(room - filled, <size_t>(segment.view.len - stream.out_offset))
            memcpy(buffer + filled, <char *>segment.view.buf + stream.out_offset, size)
            filled += size
            stream.out_offset += size
            if stream.out_offset == segment.view.len:
                outgoing[stream.out_index] = None
                stream.out_index += 1
                stream.out_offset = 0
        stream.unsent -= filled
        if stream.out_index == len(outgoing):
            outgoing.clear()
            stream.out_index = 0
            if stream.trailers is not None:
                flags[0] |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM
                self._submit(stream, stream.trailers, NULL, True)
            elif not filled:
                stream.deferred = True
                return NGHTTP2_ERR_DEFERRED
        return <ssize_t>filled

    cdef int _sent(self, const nghttp2_frame *frame) except -1:
        cdef Stream stream
        cdef uint32_t code
        if frame.hd.type == NGHTTP2_RST_STREAM:
            code = frame.rst_stream.error_code
            # Frames that make the server reset a stream cost it as much as a client's resets.
            if code != NGHTTP2_NO_ERROR:
                self._spend_reset()
            return 0
        if frame.hd.type != NGHTTP2_HEADERS or not frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            return 0
        stream = self._stream(frame.hd.stream_id)
        if stream is None:
            return 0
        stream.answered = True
        if stream.reset_at_end and not stream.ended:
            nghttp2_submit_rst_stream(
                self.session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR
            )
        return 0


def percent_encoded(str text):
    """Return ``grpc-message`` for a text, as gRPC's HTTP/2 mapping says."""
    cdef bytes plain = text.encode("utf-8", "replace")
    cdef uint8_t octet
    cdef list parts
    if all([32 <= octet <= 126 and octet != 37 for octet in plain]):
        return plain
    parts = [
        bytes((octet,)) if 32 <= octet <= 126 and octet != 37 else b"%%%02X" % octet
        for octet in plain
    ]
    return b"".join(parts)


cdef bytes _goaway(uint32_t code):
    """Return a GOAWAY frame for a session that may not be used any more."""
    return b"\0\0\x08\x07\0\0\0\0\0" + b"\0\0\0\0" + code.to_bytes(4, "big")


cdef bint _is_ascii(const char *text, size_t size) noexcept:
    cdef size_t index
    for index in range(size):
        if <uint8_t>text[index] > 127:
            return False
    return True


# nghttp2's callbacks. An exception is kept for whoever called into nghttp2, and ends the session.

cdef int _on_begin_headers(
    nghttp2_session *session, const nghttp2_frame *frame, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    if frame.headers.cat != NGHTTP2_HCAT_REQUEST or connection.terminating:
        return 0
    try:
        return connection._begin(frame.hd.stream_id)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int _on_header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
    const uint8_t *value, size_t size, uint8_t flags, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    cdef Stream stream
    if frame.headers.cat != NGHTTP2_HCAT_REQUEST:
        return 0
    try:
        stream = connection._stream(frame.hd.stream_id)
        if stream is not None:
            connection._header(stream, <const char *>name, name_size, <const char *>value, size)
        return 0
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int _on_invalid_header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
    const uint8_t *value, size_t size, uint8_t flags, void *user
) noexcept:
    """Take a name that is not ASCII, so that the call can be told; the rest is malformed."""
    cdef int code
    if name_size and name[0] != c":" and not _is_ascii(<const char *>name, name_size):
        return _on_header(session, frame, name, name_size, value, size, flags, user)
    code = nghttp2_submit_rst_stream(
        session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_PROTOCOL_ERROR
    )
    return code if code else NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


cdef int _on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) noexcept:
    cdef Connection connection = <Connection>user
    try:
        return connection._frame(frame)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int _on_data(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t size,
    void *user
) noexcept:
    cdef Connection connection = <Connection>user
    cdef Stream stream
    try:
        stream = connection._stream(stream_id)
        if stream is None:
            connection.consumed += size
            return 0
        return connection._data(stream, data, size, flags & NGHTTP2_FLAG_END_STREAM)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int _on_frame_sent(
    nghttp2_session *session, const nghttp2_frame *frame, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    try:
        return connection._sent(frame)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int _on_close(
    nghttp2_session *session, int32_t stream_id, uint32_t code, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    try:
        return connection._close(stream_id, code)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef ssize_t _read(
    nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t room, uint32_t *flags,
    nghttp2_data_source *source, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    cdef Stream stream
    try:
        stream = connection._stream(stream_id)
        if stream is None:
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        return connection._fill(stream, buffer, room, flags)
    except BaseException as error:
        connection.error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef ssize_t _frame_size(
    nghttp2_session *session, uint8_t kind, int32_t stream_id, int32_t connection_window,
    int32_t stream_window, uint32_t max_frame_bytes, void *user
) noexcept:
    return min(
        <ssize_t>min(connection_window, stream_window),
        min(<ssize_t>max_frame_bytes, <ssize_t>LARGEST_FRAME_SENT),
    )
