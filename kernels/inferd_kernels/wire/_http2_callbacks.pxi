# What nghttp2 calls, and the functions that need no connection.

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


cdef bytes _goaway(uint32_t code, int32_t last_stream=0, bytes reason=b""):
    """Return a GOAWAY frame for a session that may not be used any more."""
    return (
        (8 + len(reason)).to_bytes(3, "big") + b"\x07\0\0\0\0\0"
        + last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + reason
    )


cdef bint _is_ascii(const char *text, size_t size) noexcept:
    cdef size_t index
    for index in range(size):
        if <uint8_t>text[index] > 127:
            return False
    return True


# nghttp2's callbacks. An exception is kept for whoever called into nghttp2, and ends the session.

cdef int _on_begin_frame(
    nghttp2_session *session, const nghttp2_frame_hd *head, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    # Told of every frame but CONTINUATION: whatever block was read before is complete.
    connection.in_headers = head.type == NGHTTP2_HEADERS
    connection.header_block_bytes = connection.header_list_bytes = 0
    return 0


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
    # Compressed, a few bytes can stand for each of very many long fields.
    connection.header_list_bytes += name_size + size + HEADER_OVERHEAD
    if connection.header_list_bytes > HEADERS_TOLERATED * connection.max_header_bytes:
        connection.flooded = True
        return NGHTTP2_ERR_CALLBACK_FAILURE
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


cdef int _send_uncopied(
    nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t size,
    nghttp2_data_source *source, void *user
) noexcept:
    cdef Connection connection = <Connection>user
    try:
        return connection._put_uncopied(head, size)
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
