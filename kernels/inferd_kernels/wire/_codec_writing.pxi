# Writing the fields of responses; included by _codec.pyx, whose imports it uses.


cdef struct Writer:
    char* data
    Py_ssize_t size
    Py_ssize_t room
    char* scratch  # what ``data`` is until it is too small


cdef int _reserve(Writer* writer, Py_ssize_t size) except -1:
    cdef Py_ssize_t room = writer.room
    cdef char* grown
    if room - writer.size >= size:
        return 0
    room = max(writer.size + size, room * 2)
    if writer.data == writer.scratch:
        grown = <char*>PyMem_Malloc(room)
        if grown == NULL:
            raise MemoryError
        memcpy(grown, writer.data, writer.size)
    else:
        grown = <char*>PyMem_Realloc(writer.data, room)
        if grown == NULL:
            raise MemoryError
    writer.data = grown
    writer.room = room
    return 0


cdef inline int _put_varint(Writer* writer, uint64_t value) except -1:
    _reserve(writer, LONGEST_VARINT)
    while value >= 0x80:
        writer.data[writer.size] = <char>(value & 0x7F | 0x80)
        writer.size += 1
        value >>= 7
    writer.data[writer.size] = <char>value
    writer.size += 1
    return 0


cdef inline int _put_bytes(Writer* writer, const void* data, Py_ssize_t size) except -1:
    _reserve(writer, size)
    memcpy(writer.data + writer.size, data, size)
    writer.size += size
    return 0


cdef inline int _varint_size(uint64_t value) noexcept nogil:
    cdef int size = 1
    while value >= 0x80:
        size += 1
        value >>= 7
    return size


cdef int _put_text(Writer* writer, int tag, object text) except -1:
    cdef Py_ssize_t size
    cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
    _put_varint(writer, tag)
    _put_varint(writer, size)
    return _put_bytes(writer, data, size)


cdef int _put_parameter(Writer* writer, object key, object value) except -1:
    """Write one response parameter; -1 also stands for a value the twin must judge."""
    cdef Py_ssize_t key_size, text_size = 0
    cdef const char* key_data
    cdef const char* text = NULL
    cdef uint64_t bits = 0
    cdef double real
    cdef int tag, overflow = 0, size
    if not PyUnicode_CheckExact(key):
        raise _Unusual
    key_data = PyUnicode_AsUTF8AndSize(key, &key_size)
    if value is True or value is False:
        tag, bits = V1, value is True
    elif PyUnicode_CheckExact(value):
        tag = S3
        text = PyUnicode_AsUTF8AndSize(value, &text_size)
    elif PyFloat_CheckExact(value):
        tag, real = F4, value
        memcpy(&bits, &real, 8)
    elif PyLong_CheckExact(value):
        tag = V2
        bits = <uint64_t>PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            raise _Unusual
    else:
        raise _Unusual
    if tag == S3:
        size = 1 + _varint_size(text_size)
    elif tag == F4:
        size = 9
    else:
        size = 1 + _varint_size(bits)
    cdef Py_ssize_t choice = size + text_size
    _put_varint(writer, S4)
    _put_varint(
        writer, 2 + _varint_size(key_size) + key_size + _varint_size(choice) + choice
    )
    _put_varint(writer, S1)
    _put_varint(writer, key_size)
    _put_bytes(writer, key_data, key_size)
    _put_varint(writer, S2)
    _put_varint(writer, choice)
    _put_varint(writer, tag)
    if tag == S3:
        _put_varint(writer, text_size)
        return _put_bytes(writer, text, text_size)
    if tag == F4:
        return _put_bytes(writer, &bits, 8)
    return _put_varint(writer, bits)


class _Unusual(Exception):
    """The twin has to see to it."""


cdef int _put_output(Writer* writer, object name, object datatype, object shape) except -1:
    """Write an output without its data."""
    cdef Py_ssize_t name_size, datatype_size, dims = 0
    cdef const char* name_data = PyUnicode_AsUTF8AndSize(name, &name_size)
    cdef const char* datatype_data = PyUnicode_AsUTF8AndSize(datatype, &datatype_size)
    cdef Py_ssize_t size
    if type(shape) is not tuple:
        raise _Unusual
    for dim in <tuple>shape:
        dims += _varint_size(_dim(dim))
    size = 2 + _varint_size(name_size) + name_size + _varint_size(datatype_size) + datatype_size
    if dims:
        size += 1 + _varint_size(dims) + dims
    _put_varint(writer, S5)
    _put_varint(writer, size)
    _put_varint(writer, S1)
    _put_varint(writer, name_size)
    _put_bytes(writer, name_data, name_size)
    _put_varint(writer, S2)
    _put_varint(writer, datatype_size)
    _put_bytes(writer, datatype_data, datatype_size)
    if dims:
        _put_varint(writer, S3)
        _put_varint(writer, dims)
        for dim in <tuple>shape:
            _put_varint(writer, _dim(dim))
    return 0


cdef inline uint64_t _dim(object dim) except? 0xFFFFFFFFFFFFFFFF:
    cdef int overflow = 0
    if not PyLong_CheckExact(dim):
        raise _Unusual
    cdef uint64_t value = <uint64_t>PyLong_AsLongLongAndOverflow(dim, &overflow)
    if overflow:
        raise _Unusual
    return value
