# Reading protobuf's wire format; included by _codec.pyx, whose imports it uses. Every
# position is checked against the end before it is read.


cdef struct Span:
    uint32_t tag
    Py_ssize_t start
    Py_ssize_t stop


cdef Py_ssize_t _varint_end(const uint8_t* data, Py_ssize_t position, Py_ssize_t stop) except -1:
    cdef Py_ssize_t limit = stop
    if stop - position > LONGEST_VARINT:
        limit = position + LONGEST_VARINT
    while position < limit:
        if data[position] < 0x80:
            return position + 1
        position += 1
    raise WireError("truncated varint" if limit == stop else "varint longer than 10 bytes")


cdef inline uint64_t _value(const uint8_t* data, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Return the varint in a span that is known to be one; bits beyond 64 are dropped."""
    cdef uint64_t value = 0
    cdef int shift = 0
    while start < stop:
        value |= (<uint64_t>(data[start] & 0x7F)) << shift
        shift += 7
        start += 1
    return value


cdef inline int _read(
    const uint8_t* data, Py_ssize_t* position, Py_ssize_t stop, uint64_t* value
) except -1:
    cdef Py_ssize_t start = position[0]
    if start < stop and data[start] < 0x80:
        value[0] = data[start]
        position[0] = start + 1
        return 0
    position[0] = _varint_end(data, start, stop)
    value[0] = _value(data, start, position[0])
    return 0


cdef int _tag(
    const uint8_t* data, Py_ssize_t* position, Py_ssize_t stop, uint64_t* found
) except -1:
    cdef Py_ssize_t start = position[0]
    _read(data, position, stop, found)
    if position[0] - start > LONGEST_TAG or found[0] >> WORD_BITS:
        raise WireError("tag longer than 32 bits")
    return 0


cdef Py_ssize_t _group_end(
    const uint8_t* data, Py_ssize_t position, Py_ssize_t stop, uint32_t number, int depth
) except -1:
    """Return the position behind the group of a field number whose content begins here."""
    cdef uint64_t within[MAX_DEPTH + 1]
    cdef uint64_t found
    cdef Py_ssize_t behind
    cdef Span span
    cdef int count = 1
    within[0] = number
    while count:
        if depth + count > MAX_DEPTH:
            raise WireError("groups nested too deeply")
        if position >= stop:
            raise WireError("truncated group")
        behind = position
        _read(data, &behind, stop, &found)
        if found & 7 == START_GROUP and found >= 8:
            _tag(data, &position, stop, &found)
            within[count] = found >> 3
            count += 1
        elif found & 7 == END_GROUP and found >> 3 == within[count - 1]:
            _tag(data, &position, stop, &found)
            count -= 1
        else:
            _next(data, &position, stop, 0, &span)
    return position


cdef inline int _next(
    const uint8_t* data, Py_ssize_t* place, Py_ssize_t stop, int depth, Span* span
) except -1:
    """Read the field at ``place``, which is before ``stop``, and go behind it."""
    cdef Py_ssize_t position = place[0]
    cdef uint64_t found = data[position]
    cdef uint64_t size
    cdef int kind
    if found < 0x80:
        position += 1
    else:
        _tag(data, &position, stop, &found)
    if found < 8:
        raise WireError("field number 0")
    kind = found & 7
    if kind == LENGTH_DELIMITED:
        _read(data, &position, stop, &size)
    elif kind == VARINT:
        size = _varint_end(data, position, stop) - position
    elif kind == FIXED64:
        size = 8
    elif kind == FIXED32:
        size = 4
    elif kind == START_GROUP:
        size = _group_end(data, position, stop, <uint32_t>(found >> 3), depth) - position
    else:
        raise WireError("end of another group" if kind == END_GROUP else f"wire type {kind}")
    if size > <uint64_t>(stop - position):
        raise WireError("truncated field")
    span.tag = <uint32_t>found
    span.start = position
    span.stop = position + <Py_ssize_t>size
    place[0] = span.stop
    return 0


cdef inline object _text(const uint8_t* data, Span* span):
    try:
        return PyUnicode_DecodeUTF8(
            <const char*>data + span.start, span.stop - span.start, NULL
        )
    except UnicodeDecodeError:
        raise WireError("string that is not UTF-8") from None
