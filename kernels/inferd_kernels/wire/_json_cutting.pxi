# Finding the data of a request's inputs; included by _json.pyx.

cdef enum:
    MAX_DEPTH = 100
    MAX_CUTS = 32

cdef struct Cut:
    Py_ssize_t index
    const char* start
    const char* stop

cdef struct Scan:
    const char* end
    Py_ssize_t shortest
    int count
    bint inputs_seen
    Cut[MAX_CUTS] cuts


def cut(raw, Py_ssize_t shortest, /):
    """
    Take the long numeric ``data`` arrays of ``inputs`` out of an inference request.

    Args:
        raw: The JSON, in one contiguous buffer.
        shortest: Arrays with a text of fewer bytes are left where they are.

    Returns:
        The text with ``null`` in place of each array, and the cuts: the index of the
        input, and start and end of the array's text. ``None`` when there is nothing to
        cut, or the text is not laid out as a request. The text is JSON exactly when what
        is returned is JSON and every cut is an array; neither is checked here. In
        JSON each ``null`` is the only ``data`` of its input, and the cut belongs there.
    """
    cdef Py_buffer view
    cdef Scan scan
    cdef const char* found
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        scan.end = <const char*>view.buf + view.len
        scan.shortest = shortest
        scan.count = 0
        scan.inputs_seen = False
        with nogil:
            found = _request(&scan, <const char*>view.buf)
        if found == NULL or scan.count == 0:
            return None
        return _rest(&scan, <const char*>view.buf), [
            (
                scan.cuts[number].index,
                scan.cuts[number].start - <const char*>view.buf,
                scan.cuts[number].stop - <const char*>view.buf,
            )
            for number in range(scan.count)
        ]
    finally:
        PyBuffer_Release(&view)


cdef bytes _rest(Scan* scan, const char* begin):
    cdef Py_ssize_t size = scan.end - begin
    cdef const char* position = begin
    cdef char* target
    cdef Cut* one
    cdef int number
    for number in range(scan.count):
        size += 4 - (scan.cuts[number].stop - scan.cuts[number].start)
    rest = PyBytes_FromStringAndSize(NULL, size)
    target = PyBytes_AS_STRING(rest)
    for number in range(scan.count):
        one = &scan.cuts[number]
        memcpy(target, position, one.start - position)
        target += one.start - position
        memcpy(target, b"null", 4)
        target += 4
        position = one.stop
    memcpy(target, position, scan.end - position)
    return rest


# Each of these takes the position where something begins and returns the one behind it, or
# NULL where the text ends too early or is not what it is in every request.

cdef inline const char* _space(const char* at, const char* end) noexcept nogil:
    while at < end and at[0] <= c" " and (
        at[0] == c" " or at[0] == c"\n" or at[0] == c"\t" or at[0] == c"\r"
    ):
        at += 1
    return at


cdef const char* _string(const char* at, const char* end) noexcept nogil:
    """Skip a string, from its first quotation mark."""
    cdef const char* back
    cdef const char* quote = at
    while True:
        quote = <const char*>memchr(quote + 1, c'"', end - quote - 1)
        if quote == NULL:
            return NULL
        back = quote
        while (back - 1)[0] == c"\\":
            back -= 1
        if not (quote - back) & 1:
            return quote + 1


cdef const char* _value(const char* at, const char* end) noexcept nogil:
    """Skip a value of any kind without a look at its grammar."""
    cdef Py_ssize_t depth = 0
    while at < end:
        if at[0] == c'"':
            at = _string(at, end)
            if at == NULL:
                return NULL
            if depth == 0:
                return at
            continue
        if at[0] == c"[" or at[0] == c"{":
            depth += 1
        elif at[0] == c"]" or at[0] == c"}":
            if depth == 0:
                return at
            depth -= 1
            if depth == 0:
                return at + 1
        elif depth == 0 and at[0] == c",":
            return at
        at += 1
    return NULL


cdef const char* _name(
    const char* at, const char* end, const char** name, Py_ssize_t* size
) noexcept nogil:
    """Read a member's name, which has no escapes, and the colon; at its value afterwards."""
    cdef const char* stop
    at = _space(at, end)
    if at >= end or at[0] != c'"':
        return NULL
    stop = <const char*>memchr(at + 1, c'"', end - at - 1)
    if stop == NULL or memchr(at, c"\\", stop - at) != NULL:
        return NULL
    name[0] = at + 1
    size[0] = stop - at - 1
    at = _space(stop + 1, end)
    if at >= end or at[0] != c":":
        return NULL
    at = _space(at + 1, end)
    if at >= end:
        return NULL
    return at


cdef inline const char* _closed(const char* at, const char* end, char bracket) noexcept nogil:
    if at >= end or at[0] != bracket:
        return NULL
    return at + 1


cdef const char* _request(Scan* scan, const char* at) noexcept nogil:
    cdef const char* name
    cdef Py_ssize_t size
    at = _space(at, scan.end)
    if at >= scan.end or at[0] != c"{":
        return NULL
    while True:
        at = _name(at + 1, scan.end, &name, &size)
        if at == NULL:
            return NULL
        if size == 6 and memcmp(name, b"inputs", 6) == 0:
            if scan.inputs_seen or at[0] != c"[":
                return NULL
            scan.inputs_seen = True
            at = _inputs(scan, at)
        else:
            at = _value(at, scan.end)
        if at == NULL:
            return NULL
        at = _space(at, scan.end)
        if at >= scan.end or at[0] != c",":
            return _closed(at, scan.end, c"}")


cdef const char* _inputs(Scan* scan, const char* at) noexcept nogil:
    cdef Py_ssize_t index = 0
    while True:
        at = _space(at + 1, scan.end)
        if at >= scan.end or at[0] != c"{":
            return NULL
        at = _input(scan, at, index)
        if at == NULL:
            return NULL
        at = _space(at, scan.end)
        if at >= scan.end or at[0] != c",":
            return _closed(at, scan.end, c"]")
        index += 1


cdef const char* _input(Scan* scan, const char* at, Py_ssize_t index) noexcept nogil:
    cdef const char* name
    cdef Py_ssize_t size
    cdef bint data_seen = False
    while True:
        at = _name(at + 1, scan.end, &name, &size)
        if at == NULL:
            return NULL
        if size == 4 and memcmp(name, b"data", 4) == 0:
            if data_seen:
                return NULL
            data_seen = True
            at = _data(scan, at, index)
        else:
            at = _value(at, scan.end)
        if at == NULL:
            return NULL
        at = _space(at, scan.end)
        if at >= scan.end or at[0] != c",":
            return _closed(at, scan.end, c"}")


cdef const char* _data(Scan* scan, const char* at, Py_ssize_t index) noexcept nogil:
    cdef const char* stop
    cdef const char* first = at
    while first < scan.end and (first[0] == c"[" or first[0] <= c" "):
        first += 1
    if (
        at[0] != c"["
        or first >= scan.end
        or not (is_digit(first[0]) or first[0] == c"-" or first[0] == c"t" or first[0] == c"f")
    ):
        return _value(at, scan.end)
    stop = _array(at, scan.end)
    if stop == NULL:
        return NULL
    if memchr(at, c'"', stop - at) != NULL:
        # Strings behind the first number, and perhaps the brackets were in them.
        return _value(at, scan.end)
    if stop - at < scan.shortest or scan.count == MAX_CUTS:
        return stop
    scan.cuts[scan.count].index = index
    scan.cuts[scan.count].start = at
    scan.cuts[scan.count].stop = stop
    scan.count += 1
    return stop


cdef const char* _array(const char* at, const char* end) noexcept nogil:
    """Skip an array, if there are no strings in it."""
    cdef const char* close
    cdef const char* open
    cdef Py_ssize_t depth = 0
    while True:
        close = <const char*>memchr(at, c"]", end - at)
        if close == NULL:
            return NULL
        while True:
            open = <const char*>memchr(at, c"[", close - at)
            if open == NULL:
                break
            depth += 1
            at = open + 1
        depth -= 1
        if depth == 0:
            return close + 1
        at = close + 1
