# cython: boundscheck=False, wraparound=False, cdivision=True
"""
HTTP/2 with gRPC's framing for one server connection, over nghttp2 and without I/O.

Bytes go in by :meth:`Connection.receive`, which returns what the application must know:
one event per complete message. Answers are queued by the ``send_*`` methods and come out
as bytes of :meth:`Connection.data_to_send`.

Ownership: nghttp2 keeps two kinds of pointers, to the connection, which owns the session,
and to a stream, which the connection's dictionary owns until nghttp2 says that it closed.
Bytes of a message are copied on their way in; on their way out a message's buffers are
held by a :class:`_Segment` until they are copied into the output, or, when they are large,
until a view of them is a piece of the output.
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
NO_ROOM = 5
LARGE_MESSAGE = _LARGE_MESSAGE

cdef enum:
    _OPENED = 0
    _MESSAGE = 1
    _ENDED = 2
    _RESET = 3
    _TOO_LARGE = 4
    _NO_ROOM = 5
    _LARGE_MESSAGE = 65536
    SMALL_BYTES_STEP = 262144
    SMALL_BYTES_PRESSED = 1048576
    PREFIX_BYTES = 5
    FRAME_HEAD_BYTES = 9
    FIRST_ALLOCATION = 16384
    SMALL_MESSAGE = 16384
    UNCOPIED = 8192
    OUTPUT_CHUNK = 262144
    OUTPUT_LIMIT = 1048576
    LARGEST_FRAME_SENT = 262144
    HEADER_OVERHEAD = 32
    DEFAULT_WINDOW = 65535
    MAX_OUTBOUND_ACKS = 1000
    MAX_QUEUED = 10000
    MAX_SETTINGS = 32
    HEADERS_TOLERATED = 4
    FATAL = -900

cdef str _POST = "POST"
cdef str _GRPC = "application/grpc"
cdef bytes _STATUS = b"grpc-status"
cdef bytes _MESSAGE_NAME = b"grpc-message"
cdef list _ANSWERED = [(_STATUS, b"0")]
cdef bytes _ENCODING = b"grpc-encoding"


class ProtocolError(Exception):
    """The peer broke HTTP/2; the connection must be closed once its output is written."""


include "_http2_stream.pxi"
include "_http2_session.pxi"
include "_http2_ledger.pxi"
include "_http2_receiving.pxi"
include "_http2_control.pxi"


cdef class Connection(_Control):
    """
    One connection.

    Args:
        response_headers: Headers that open every answer, ``:status`` first.
        max_message_bytes: The largest message taken, judged by its prefix.
        stream_window: Bytes a client may send on a stream that nobody takes from.
        connection_window: The same of all streams together.
        max_frame_bytes: The largest frame taken.
        max_streams: Calls at the same time.
        max_header_bytes: Header list of a call, counted as RFC 9113 section 6.5.2 does;
            a list of more than four times as much ends the connection.
        reset_burst: Calls a client may give up in a row.
        resets_per_second: How fast it may go on doing so.
        keeps_accepted: Whether streams say what encodings their clients accept.
        on_ping: Called for every ping of the peer with the time, the number of open calls and
            :attr:`sent`; returns whether it was one too many, which ends the connection.
        ledger: Knows how many bytes of messages there are, here and elsewhere, and which
            large message there is room for; ``None`` takes all. Has ``reserve(size)``, which
            says whether there is room, and ``add(size)``, which says whether it is full.

    Attributes:
        pongs: How many pings the peer has answered.
        sent: Frames sent that are headers, data or flow-control credit.

    Raises:
        MemoryError: There is none.
    """

    def send_message(self, Stream stream, buffers):
        """
        Queue a message, given as buffers that follow each other; dropped if the call is over.

        Raises:
            ValueError: It is larger than gRPC's prefix can say.
        """
        self._send(stream, buffers, None, False)

    def send_encoded(self, Stream stream, buffers, bytes encoding not None, bint compressed):
        """
        Do the same in a call whose answer has an encoding.

        Args:
            stream: The call.
            buffers: The message.
            encoding: ``grpc-encoding``; only the first message of a call says it.
            compressed: Whether this message is encoded so.

        Raises:
            ValueError: As :meth:`send_message` does.
        """
        self._send(stream, buffers, encoding, compressed)

    cdef int _send(self, Stream stream, buffers, bytes encoding, bint compressed) except -1:
        cdef list segments
        cdef _Segment segment
        cdef Py_ssize_t total = 0
        if stream.finished or self.failed:
            return 0
        segments = [_Segment(buffer) for buffer in buffers]
        for segment in segments:
            total += segment.view.len
        if total >> 32:
            raise ValueError(f"a message of {total} bytes does not fit gRPC's prefix")
        self._queue(stream, segments, total, compressed)
        if total > _LARGE_MESSAGE and self.ledger is not None:
            self._count_queued(stream, total)
        if not stream.started:
            if encoding is None:
                self._start(stream, self.base_headers, False)
            else:
                self._start(stream, [*self.base_headers, (_ENCODING, encoding)], False)
        return self._resume(stream)

    cdef int _queue(
        self, Stream stream, list segments, Py_ssize_t total, bint compressed
    ) except -1:
        """Queue the prefix and the buffers; what is small becomes one piece."""
        cdef bint joined = total <= SMALL_MESSAGE
        cdef bytes head = PyBytes_FromStringAndSize(
            NULL, PREFIX_BYTES + (total if joined else 0)
        )
        cdef char *to = PyBytes_AS_STRING(head)
        cdef _Segment segment
        to[0] = compressed
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
        if status == 0 and not message and stream.started:
            stream.finished = True
            stream.trailers = _ANSWERED
            self._resume(stream)
            return
        trailers = [(_STATUS, b"%d" % status)]
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

    def data_to_send(self):
        """
        Return what to write now, about 1 MiB at most, as a few pieces.

        Raises:
            ProtocolError: The session cannot go on.
        """
        cdef const uint8_t *data = NULL
        cdef ssize_t size
        if self.failed:
            last, self.last_words = self.last_words, b""
            return [last] if last else []
        while self.pieces_bytes + self.output_bytes < OUTPUT_LIMIT:
            size = nghttp2_session_mem_send(self.session, &data)
            if self.error is not None or size < 0:
                self._fail(<int>size)
            if size == 0:
                break
            self._put(data, size)
            if self.output_bytes >= OUTPUT_CHUNK:
                self._end_piece()
        self._end_piece()
        pieces, self.pieces = self.pieces, []
        self.pieces_bytes = 0
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

    cdef int _end_piece(self) except -1:
        if self.output_bytes:
            self.pieces.append(PyBytes_FromStringAndSize(self.output, self.output_bytes))
            self.pieces_bytes += self.output_bytes
            self.output_bytes = 0
        return 0

    cdef int _put_uncopied(self, const uint8_t *head, size_t size) except -1:
        """Put a frame's head and the view that :meth:`_fill` chose for it."""
        if self.pieces_bytes >= OUTPUT_LIMIT:
            return NGHTTP2_ERR_WOULDBLOCK
        self._put(head, FRAME_HEAD_BYTES)
        self._end_piece()
        self.pieces.append(self.uncopied)
        self.pieces_bytes += size
        self.uncopied = None
        return 0

    cdef ssize_t _fill(
        self, Stream stream, uint8_t *buffer, size_t room, uint32_t *flags
    ) except? -1:
        """
        Copy what is queued of a stream into a frame.

        A frame of much that lies in one place is not copied but put into the output as a
        view, by :meth:`_put_uncopied`.
        """
        cdef size_t filled = 0, size
        cdef _Segment segment
        cdef list outgoing = stream.outgoing
        while filled < room and stream.out_index < len(outgoing):
            segment = <_Segment>outgoing[stream.out_index]
            size = min(room - filled, <size_t>(segment.view.len - stream.out_offset))
            if size < UNCOPIED:
                memcpy(buffer + filled, <char *>segment.view.buf + stream.out_offset, size)
            elif filled:
                break
            else:
                self.uncopied = segment.part(stream.out_offset, size)
                flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY
                room = size
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
            if stream.queued:
                self._forget_queued(stream)
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
        if (
            frame.hd.type == NGHTTP2_DATA or frame.hd.type == NGHTTP2_HEADERS
            or frame.hd.type == NGHTTP2_WINDOW_UPDATE
        ):
            self.sent += 1
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


include "_http2_callbacks.pxi"
