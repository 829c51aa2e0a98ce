# What the peer sends becomes events.

cdef class _Receiving(_Accounting):
    """The receiving half of a connection."""

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
            already when the call is opened; ``(RESET, stream)``; ``(TOO_LARGE, stream, size)``
            and ``(NO_ROOM, stream, size)``, after which nothing more of the call's data is
            taken.

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
        if self.flooded or nghttp2_session_get_outbound_queue_size(self.session) > MAX_QUEUED:
            self._fail(NGHTTP2_ERR_FLOODED)
        if self.error is not None or taken < 0:
            self._fail(<int>taken)
        if self.in_headers:
            self.header_block_bytes += source.view.len
            if self.header_block_bytes > HEADERS_TOLERATED * self.max_header_bytes:
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
        if self.is_calmed:
            # The calls that were begun are not to be sent again by a client that reconnects.
            self.last_words = _goaway(
                NGHTTP2_ENHANCE_YOUR_CALM,
                nghttp2_session_get_last_proc_stream_id(self.session),
                b"too_many_pings",
            )
            raise ProtocolError("too many pings")
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
            elif (
                self.keeps_accepted
                and name_size == 20 and memcmp(name, b"grpc-accept-encoding", 20) == 0
            ):
                stream.accepted = PyUnicode_DecodeLatin1(value, size, NULL)
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
        elif kind == NGHTTP2_PING:
            if frame.hd.flags & NGHTTP2_FLAG_ACK:
                self.pongs += 1
            elif self.on_ping is not None:
                if self.on_ping(self.now_ns, len(self.streams), self.sent):
                    self.is_calmed = True
                    return NGHTTP2_ERR_CALLBACK_FAILURE
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
        if (untaken or (self.pressed and not stream.reserved)) and not stream.discarding:
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
                    self._refuse(stream, _TOO_LARGE, announced)
                    return 0
                if not self._admit(stream, announced):
                    self._refuse(stream, _NO_ROOM, announced)
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

    cdef int _refuse(self, Stream stream, int kind, int64_t size) except -1:
        self._give_messages(False)
        stream.discarding = True
        stream.forget_message()
        self._report(stream)
        self.events.append((kind, stream, size))
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
        if self.ledger is not None:
            self._forget_bytes(stream)
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
        if not stream.untaken and not stream.ended and stream.small_bytes:
            # What a stream of calls holds from here on is bounded by whoever takes from it.
            self._forget_small(stream)
        if not stream.untaken and stream.withheld and not stream.closed and not self.failed:
            self.consumed += stream.withheld
            nghttp2_session_consume_stream(self.session, stream.id, stream.withheld)
            stream.withheld = 0
            self._return_credit()
