# The session of nghttp2 and what is known of it.

cdef class _Session:
    """A session, its settings and its state."""

    cdef nghttp2_session *session
    cdef dict streams
    cdef list events, opened, frame_messages, base_headers
    cdef Stream frame_stream
    cdef object error
    cdef int64_t max_message_bytes
    cdef Py_ssize_t max_header_bytes, header_block_bytes, header_list_bytes, consumed
    cdef bint in_headers, terminating, flooded, keeps_accepted, is_calmed
    cdef object on_ping, ledger
    cdef Py_ssize_t small_bytes, reported_bytes
    cdef bint pressed
    cdef readonly bint failed
    cdef double resets_left, reset_burst, resets_per_ns
    cdef int64_t now_ns
    cdef char *output
    cdef Py_ssize_t output_bytes, output_capacity
    cdef list pieces
    cdef Py_ssize_t pieces_bytes
    cdef object uncopied
    cdef bytes last_words
    cdef readonly Py_ssize_t pongs, sent

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
        bint keeps_accepted=False,
        on_ping=None,
        ledger=None,
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
        self.keeps_accepted = keeps_accepted
        self.on_ping = on_ping
        self.ledger = ledger
        self.last_words = b""
        self.pieces = []
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
            nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, _on_begin_frame)
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
            nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
            nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, _on_invalid_header)
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame)
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data)
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_frame_sent)
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_close)
            nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, _frame_size)
            nghttp2_session_callbacks_set_send_data_callback(callbacks, _send_uncopied)
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
    def heard_ns(self):
        """When :meth:`receive` was called last, as it was told; 0 before."""
        return self.now_ns

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
