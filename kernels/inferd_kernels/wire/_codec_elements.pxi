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


cdef inline bint _element(PyObject* element, const char** data, Py_ssize_t* length) except -1:
    """Find the bytes of an element; false when it is neither bytes nor text of under 4 GiB."""
    if PyBytes_CheckExact(<object>element):
        data[0] = PyBytes_AS_STRING(<object>element)
        length[0] = PyBytes_GET_SIZE(<object>element)
    elif PyUnicode_CheckExact(<object>element):
        data[0] = PyUnicode_AsUTF8AndSize(<object>element, length)
    else:
        return False
    return length[0] <= 0xFFFFFFFF


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
