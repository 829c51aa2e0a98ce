# Writing arrays into a document; included by _json.pyx.

cdef enum:
    # The longest text with a comma: -0.000012345678901234567
    FLOAT_TEXT = 26
    # What may be written beyond the end of a text.
    SLACK = 32
    AT_ONCE = 16


def write(bytes template, list arrays, /):
    """
    Return a text with each of its NUL bytes replaced by a JSON array of floats.

    The arrays are flat and without spaces. Each element is the shortest text that reads
    back as the same double, always with a point or an exponent; what is not finite is
    ``NaN``, ``Infinity`` or ``-Infinity``.

    Args:
        template: The text.
        arrays: As many contiguous arrays as there are NULs, float32 or float64 in the machine's
            byte order, each with its kind: ``FP32`` or ``FP64``.
    """
    cdef const char* at = PyBytes_AS_STRING(template)
    cdef const char* end = at + len(template)
    cdef const char* place
    cdef Py_ssize_t room = SLACK + len(template)
    cdef PyObject* made
    cdef char* begin
    cdef char* target
    views = [(kind, memoryview(array)) for kind, array in arrays]
    for kind, view in views:
        if kind != FP32 and kind != FP64:
            raise ValueError(f"arrays of kind {kind} are not written")
        room += 2 + view.nbytes // item_sizes[<int>kind] * FLOAT_TEXT
    made = new_bytes(NULL, room)
    try:
        begin = target = content_of(made)
        for kind, view in views:
            place = <const char*>memchr(at, 0, end - at)
            if place == NULL:
                raise ValueError(f"there is no place for {len(views)} arrays")
            memcpy(target, at, place - at)
            target = _put_array(target + (place - at), kind, view)
            at = place + 1
        if memchr(at, 0, end - at) != NULL:
            raise ValueError(f"there are more places than for {len(views)} arrays")
        memcpy(target, at, end - at)
        target += end - at
        _set_end(&made, target - begin, room)
        return <object>made
    finally:
        Py_XDECREF(made)


cdef int _set_end(PyObject** made, Py_ssize_t size, Py_ssize_t room) except -1:
    """Make a bytes object as long as what was written into it."""
    if size < room >> 1:
        return resize_bytes(made, size)
    # What is cut off goes back to the system, and the next response takes it from there again,
    # page by page; that is a third of the time of all this.
    content_of(made[0])[size] = 0
    set_size(made[0], size)
    return 0


cdef char* _put_array(char* target, int kind, object array) except NULL:
    cdef Py_buffer source
    PyObject_GetBuffer(array, &source, PyBUF_SIMPLE)
    try:
        with nogil:
            target = _put_floats(
                target, kind, <const char*>source.buf, source.len // item_sizes[kind]
            )
    finally:
        PyBuffer_Release(&source)
    return target


cdef char* _put_floats(
    char* at, int kind, const char* source, Py_ssize_t count
) noexcept nogil:
    """
    Write an array, some elements at a time.

    Their decimals are found before any is written: a processor looks ahead a few hundred
    instructions, and so it works at more than one of them at once.
    """
    cdef double[AT_ONCE] values
    cdef Decimal[AT_ONCE] decimals
    cdef Py_ssize_t index, some
    at[0] = c"["
    at += 1
    at[0] = c"]"
    while count:
        some = min(count, <Py_ssize_t>AT_ONCE)
        for index in range(some):
            if kind == FP32:
                values[index] = (<const float*>source)[index]
            else:
                values[index] = (<const double*>source)[index]
            decimals[index] = _decimal(values[index])
        for index in range(some):
            at = _put_double(at, values[index], decimals[index])
            at[0] = c","
            at += 1
        source += some * item_sizes[kind]
        count -= some
        if not count:
            at -= 1
            at[0] = c"]"
    return at + 1
