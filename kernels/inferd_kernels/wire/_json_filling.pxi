# Reading an array of numbers; included by _json.pyx.

cdef uint64_t[9] highest = [
    0, (1 << 7) - 1, (1 << 15) - 1, (<uint64_t>1 << 31) - 1, (<uint64_t>1 << 63) - 1,
    (1 << 8) - 1, (1 << 16) - 1, (<uint64_t>1 << 32) - 1, ~<uint64_t>0,
]
cdef int[11] item_sizes = [1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8]


def fill(raw, Py_ssize_t start, Py_ssize_t stop, int kind, array, /):
    """
    Read a JSON array, nested or not, into a contiguous array with the same elements.

    Args:
        raw: Where the text is, in one contiguous buffer.
        start: Where the array begins in it.
        stop: Where it ends; the last byte is its ``]``.
        kind: What the elements are: ``BOOL`` to ``FP64``.
        array: Gets the elements in order. Nothing is said about its content when they
            do not fit.

    Returns:
        Whether the text is an array of exactly as many elements as ``array`` holds, at
        most 100 deep, all of that kind and in its range: integers have no point and no
        exponent, and numbers are within a double's range, as FP32 too, which may make them
        infinite.
    """
    cdef Py_buffer text, target
    cdef Py_ssize_t count
    cdef const char* begin
    cdef bint filled
    if not BOOL <= kind <= FP64:
        raise ValueError(f"there is no kind {kind}")
    PyObject_GetBuffer(raw, &text, PyBUF_SIMPLE)
    try:
        begin = <const char*>text.buf
        if not 0 <= start < stop <= text.len or begin[stop - 1] != c"]":
            return False
        PyObject_GetBuffer(array, &target, PyBUF_WRITABLE)
        try:
            count = target.len // item_sizes[kind]
            with nogil:
                filled = _fill(begin + start, begin + stop, kind, <char*>target.buf, count)
            return filled
        finally:
            PyBuffer_Release(&target)
    finally:
        PyBuffer_Release(&text)


cdef bint _fill(
    const char* at, const char* end, int kind, char* target, Py_ssize_t count
) noexcept nogil:
    cdef const char* begin = at
    cdef char* stop = target + count * item_sizes[kind]
    cdef int depth = 0
    cdef bint opened
    while True:
        # Here a value has to begin.
        at = _space(at, end)
        opened = False
        while at < end and at[0] == c"[":
            opened = True
            depth += 1
            at = _space(at + 1, end)
            if depth > MAX_DEPTH:
                return False
        if at >= end:
            return False
        if at[0] != c"]":
            if target == stop or depth == 0:
                return False
            at = _element(at, begin, end, kind, target)
            if at == NULL:
                return False
            target += item_sizes[kind]
            if at[0] == c",":
                at += 1
                continue
        elif not opened:
            return False
        # And here a value has ended.
        at = _space(at, end)
        while at < end and at[0] == c"]":
            depth -= 1
            at = _space(at + 1, end)
            if depth == 0:
                return at == end and target == stop
        if at >= end or at[0] != c",":
            return False
        at += 1


cdef inline const char* _element(
    const char* at, const char* begin, const char* end, int kind, char* target
) noexcept nogil:
    cdef Number number
    cdef uint64_t bits
    cdef double value
    if kind == BOOL:
        return _bool(at, end, target)
    at = _number(at, begin, end, &number)
    if at == NULL:
        return NULL
    if kind < FP32:
        if not _store_integer(&number, at, kind, target):
            return NULL
        return at
    if not _to_double(&number, at, &bits):
        return NULL
    memcpy(&value, &bits, 8)
    if kind == FP32:
        (<float*>target)[0] = to_float(value)
    else:
        (<double*>target)[0] = value
    return at


cdef const char* _bool(const char* at, const char* end, char* target) noexcept nogil:
    if end - at > 4 and memcmp(at, b"true", 4) == 0:
        target[0] = 1
        return at + 4
    if end - at > 5 and memcmp(at, b"false", 5) == 0:
        target[0] = 0
        return at + 5
    return NULL


cdef inline bint _store_integer(
    Number* number, const char* stop, int kind, char* target
) noexcept nogil:
    cdef uint64_t digits = number.digits
    if not number.integer:
        return False
    if number.long:
        if number.negative or to_unsigned(number.start, stop, &digits) != stop:
            return False
    if number.negative:
        # One more than the highest of a signed integer; nothing but 0 of another.
        if digits > (highest[kind] + 1 if kind < UINT8 else 0):
            return False
        digits = -digits
    elif digits > highest[kind]:
        return False
    # The lowest bytes are the value, whatever its size and sign.
    memcpy(target, &digits, item_sizes[kind])
    return True
