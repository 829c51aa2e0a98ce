# Writing numbers; included by _json.pyx.

cdef enum:
    # The longest texts, with a comma: -0.000012345678901234567 and -9223372036854775808.
    FLOAT_TEXT = 26
    # What may be written beyond the end of a text.
    SLACK = 32
    # Digits of the longest shortest text of a double.
    DIGITS = 17

cdef int[9] integer_texts = [6, 5, 7, 12, 21, 4, 6, 11, 21]


def text(int kind, array, /):
    """
    Write a contiguous array as a flat JSON array without spaces.

    Floats are the shortest text that reads back as the same double, always with a point or
    an exponent; what is not finite is ``NaN``, ``Infinity`` or ``-Infinity``.

    Args:
        kind: What the elements are: ``BOOL`` to ``FP64``.
        array: The elements, in the machine's byte order.
    """
    cdef Py_buffer source
    cdef Py_ssize_t count, room
    cdef const char* end
    cdef PyObject* made
    cdef char* target
    if not BOOL <= kind <= FP64:
        raise ValueError(f"there is no kind {kind}")
    PyObject_GetBuffer(array, &source, PyBUF_SIMPLE)
    try:
        count = source.len // item_sizes[kind]
        room = 2 + SLACK + count * (FLOAT_TEXT if kind >= FP32 else integer_texts[kind])
        made = new_bytes(NULL, room)
        target = content_of(made)
        with nogil:
            end = _write(target, kind, <const char*>source.buf, count)
    finally:
        PyBuffer_Release(&source)
    if end - target < room >> 1:
        resize_bytes(&made, end - target)
    else:
        # The allocator keeps what it gets back in one piece for the next response, and maps
        # what was cut from the system again, page by page: a third of the time of all this.
        target[end - target] = 0
        set_size(made, end - target)
    written = <object>made
    Py_DECREF(made)
    return written


cdef const char* _write(char* at, int kind, const char* source, Py_ssize_t count) noexcept nogil:
    cdef const char* stop = source + count * item_sizes[kind]
    cdef double value
    at[0] = c"["
    at += 1
    while source != stop:
        if kind >= FP32:
            value = (<const float*>source)[0] if kind == FP32 else (<const double*>source)[0]
            at = _put_double(at, value)
        elif kind == BOOL:
            at = _put_bool(at, source[0])
        else:
            at = _put_integer(at, kind, source)
        at[0] = c","
        at += 1
        source += item_sizes[kind]
    at -= count > 0
    at[0] = c"]"
    return at + 1


cdef inline char* _put_bool(char* at, bint value) noexcept nogil:
    memcpy(at, b"true" if value else b"fals", 4)
    at[4] = c"e"
    return at + (4 if value else 5)


cdef inline int _length(uint64_t value) noexcept nogil:
    """Return how many digits a number has, 1 for 0."""
    cdef int length = ((64 - leading_zeros(value | 1)) * 1233) >> 12
    return length + (value >= whole_powers[length] or length == 0)


cdef inline char* _put_integer(char* at, int kind, const char* source) noexcept nogil:
    cdef int64_t value
    if kind == INT8:
        value = (<const int8_t*>source)[0]
    elif kind == INT16:
        value = (<const int16_t*>source)[0]
    elif kind == INT32:
        value = (<const int32_t*>source)[0]
    elif kind == UINT8:
        value = (<const uint8_t*>source)[0]
    elif kind == UINT16:
        value = (<const uint16_t*>source)[0]
    elif kind == UINT32:
        value = (<const uint32_t*>source)[0]
    else:
        value = (<const int64_t*>source)[0]
    if value < 0 and kind != UINT64:
        at[0] = c"-"
        return _put_digits(at + 1, -<uint64_t>value)
    return _put_digits(at, <uint64_t>value)


cdef inline char* _put_digits(char* at, uint64_t value) noexcept nogil:
    cdef char[16] digits
    cdef int length = _length(value)
    cdef uint64_t upper = value // 100000000, top = upper // 100000000
    if top:
        length -= 16
        put_16(at + length, upper - top * 100000000, value - upper * 100000000)
        put_16(digits, 0, top)
        memcpy(at, digits + 16 - length, length)
        return at + length + 16
    put_16(digits, upper, value - upper * 100000000)
    memcpy(at, digits + 16 - length, length)
    return at + length
