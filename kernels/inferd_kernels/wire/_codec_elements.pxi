# Elements of BYTES tensors; included by _codec.pyx, whose imports it uses.


def split(error, raw, /):
    """
    Return the elements of an encoded ``BYTES`` tensor: ``<u32 length><bytes>`` each.

    Args:
        error: Raised with the announced length, or ``None``, and the bytes available, when
            an element is cut short.
        raw: The encoded tensor.
    """
    cdef Py_buffer view
    cdef const char* data
    cdef Py_ssize_t position = 0, stop
    cdef uint32_t length
    cdef list elements = []
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        data = <const char*>view.buf
        stop = view.len
        while position < stop:
            if stop - position < 4:
                raise error(None, stop - position)
            memcpy(&length, data + position, 4)
            position += 4
            if stop - position < length:
                raise error(length, stop - position)
            elements.append(PyBytes_FromStringAndSize(data + position, length))
            position += length
    finally:
        PyBuffer_Release(&view)
    return elements


def unpack(error, raw, array, /):
    """
    Put the elements of an encoded tensor into an array, and return how many there are.

    Args:
        error: Raised as by :func:`split`.
        raw: The encoded tensor.
        array: A writeable, contiguous array of objects. It gets as many elements as it has
            room for; those behind them are counted.
    """
    cdef Py_buffer source, view
    cdef PyObject** places
    cdef PyObject* replaced
    cdef const char* data
    cdef Py_ssize_t position = 0, found = 0, stop, room
    cdef uint32_t length
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_ND)
    try:
        if view.format[0] != b"O":
            raise ValueError("an array of objects was expected")
        places = <PyObject**>view.buf
        room = view.len // <Py_ssize_t>sizeof(PyObject*)
        PyObject_GetBuffer(raw, &source, PyBUF_SIMPLE)
        try:
            data = <const char*>source.buf
            stop = source.len
            while position < stop:
                if stop - position < 4:
                    raise error(None, stop - position)
                memcpy(&length, data + position, 4)
                position += 4
                if stop - position < length:
                    raise error(length, stop - position)
                if found < room:
                    replaced = places[found]
                    element = PyBytes_FromStringAndSize(data + position, length)
                    Py_INCREF(<PyObject*>element)
                    places[found] = <PyObject*>element
                    Py_XDECREF(replaced)
                position += length
                found += 1
        finally:
            PyBuffer_Release(&source)
    finally:
        PyBuffer_Release(&view)
    return found


def join(twin, elements, /):
    """
    Return the encoding of a ``BYTES`` tensor; text becomes UTF-8.

    Args:
        twin: Called with the list of elements when one of them is neither bytes nor text.
        elements: The elements.
    """
    cdef Py_ssize_t size = 0, length
    cdef uint32_t prefix
    cdef const char* data
    cdef char* target
    cdef list items = elements if type(elements) is list else list(elements)
    cdef Py_ssize_t index, count = len(items)
    for index in range(count):
        if not _element(PyList_GET_ITEM(items, index), &data, &length):
            return twin(items)
        size += 4 + length
    encoded = PyBytes_FromStringAndSize(NULL, size)
    target = PyBytes_AS_STRING(encoded)
    for index in range(count):
        _element(PyList_GET_ITEM(items, index), &data, &length)
        prefix = <uint32_t>length
        memcpy(target, &prefix, 4)
        memcpy(target + 4, data, length)
        target += 4 + length
    return encoded


def join_array(twin, array, /):
    """
    Return the encoding of the elements of a contiguous array, as :func:`join` does.

    Args:
        twin: As for :func:`join`.
        array: The elements, in row-major order.
    """
    cdef Py_buffer view
    cdef PyObject** places
    cdef Py_ssize_t size = 0, length, index, count
    cdef uint32_t prefix
    cdef char* target
    cdef bint plain
    PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_ND)
    try:
        plain = view.format[0] == b"O"
        places = <PyObject**>view.buf
        count = view.len // <Py_ssize_t>sizeof(PyObject*) if plain else 0
        for index in range(count):
            if places[index] == NULL or not PyBytes_CheckExact(<object>places[index]):
                plain = False
                break
            length = PyBytes_GET_SIZE(<object>places[index])
            if length >> WORD_BITS:
                plain = False
                break
            size += 4 + length
        if plain:
            encoded = PyBytes_FromStringAndSize(NULL, size)
            target = PyBytes_AS_STRING(encoded)
            for index in range(count):
                length = PyBytes_GET_SIZE(<object>places[index])
                prefix = <uint32_t>length
                memcpy(target, &prefix, 4)
                memcpy(target + 4, PyBytes_AS_STRING(<object>places[index]), length)
                target += 4 + length
            return encoded
    finally:
        PyBuffer_Release(&view)
    return join(twin, array.ravel().tolist())


cdef inline bint _element(PyObject* element, const char** data, Py_ssize_t* length) except -1:
    """Find the bytes of an element; false when it is neither bytes nor text of under 4 GiB."""
    if PyBytes_CheckExact(<object>element):
        data[0] = PyBytes_AS_STRING(<object>element)
        length[0] = PyBytes_GET_SIZE(<object>element)
    elif PyUnicode_CheckExact(<object>element):
        data[0] = PyUnicode_AsUTF8AndSize(<object>element, length)
    else:
        return False
    return not length[0] >> WORD_BITS


def fill(array, list elements, /):
    """Put as many elements into a writeable, contiguous array of objects as it holds."""
    cdef Py_buffer view
    cdef PyObject** places
    cdef PyObject* replaced
    cdef Py_ssize_t index, count = len(elements)
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_ND)
    try:
        if view.format[0] != b"O" or view.len != count * <Py_ssize_t>sizeof(PyObject*):
            raise ValueError(f"an array for {count} objects was expected")
        places = <PyObject**>view.buf
        for index in range(count):
            replaced = places[index]
            places[index] = PyList_GET_ITEM(elements, index)
            Py_INCREF(places[index])
            Py_XDECREF(replaced)
    finally:
        PyBuffer_Release(&view)
