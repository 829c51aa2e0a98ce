# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True
"""
Inference messages of KServe v2 between protobuf's bytes and the caller's objects.

One call decodes a request, one turns it into what the server works on, one encodes an
answer; no object is made per element and no tensor is copied but to string scattered
elements together. The caller hands in its classes and a twin in Python for each way. The
twin is the specification, and whatever is unusual, most errors included, is left to it.
Wire format: https://protobuf.dev/programming-guides/encoding/; field numbers:
``grpc_service.proto`` of KServe v2 with Triton's extensions.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
)
from cpython.list cimport PyList_AsTuple
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    int PyByteArray_Resize(object array, Py_ssize_t size) except -1
    object PyLong_FromLongLong(long long value)
    object PyLong_FromUnsignedLongLong(unsigned long long value)
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    object PySequence_GetSlice(object sequence, Py_ssize_t start, Py_ssize_t stop)
    PyObject* PyList_GET_ITEM(object items, Py_ssize_t index)
    void Py_XDECREF(PyObject* owned)
    void Py_INCREF(PyObject* borrowed)
    int PyLong_CheckExact(object value)
    int PyUnicode_CheckExact(object value)
    int PyFloat_CheckExact(object value)

cdef extern from *:
    """
    static CYTHON_INLINE PyObject* inferd_blank(PyObject* cls) {
        return ((PyTypeObject*)cls)->tp_alloc((PyTypeObject*)cls, 0);
    }
    static CYTHON_INLINE int inferd_put(PyObject* slot, PyObject* owner, PyObject* value) {
        return Py_TYPE(slot)->tp_descr_set(slot, owner, value);
    }
    static CYTHON_INLINE PyObject* inferd_take(PyObject* slot, PyObject* owner) {
        return Py_TYPE(slot)->tp_descr_get(slot, owner, (PyObject*)Py_TYPE(owner));
    }
    """
    # A class with slots is filled through the slots' descriptors: what ``Class.slot.__set__``
    # does, which checks the type, without looking the name up again for every object.
    object blank "inferd_blank" (object cls)
    int put "inferd_put" (object slot, object owner, object value) except -1
    object take "inferd_take" (object slot, object owner)


cdef enum:
    VARINT = 0
    FIXED64 = 1
    LENGTH_DELIMITED = 2
    START_GROUP = 3
    END_GROUP = 4
    FIXED32 = 5
    LONGEST_VARINT = 10
    LONGEST_TAG = 5
    MAX_DEPTH = 100
    BYTES_CONTENTS = 8
    FIELDS = 9
    JOINED_BYTES = 4096
    SCRATCH_BYTES = 1024
    # Tags: field number << 3 | wire type.
    V1 = 8
    S1 = 10
    V2 = 16
    S2 = 18
    V3 = 24
    S3 = 26
    F4 = 33
    S4 = 34
    V5 = 40
    S5 = 42
    S6 = 50
    S7 = 58


class WireError(ValueError):
    """The bytes are not a message in protobuf's wire format."""


# ---------------------------------------------------------------- reading the wire format


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
    if position[0] - start > LONGEST_TAG or found[0] > 0xFFFFFFFF:
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


# ---------------------------------------------------------------- the messages as sent


cdef class Contents:
    """
    The fields of an input's ``InferTensorContents``, as runs of elements.

    A run is what a packed field would hold: a span of the received bytes when it came in
    one packed piece, else a buffer its pieces are strung together in.
    """

    cdef Py_ssize_t start[FIELDS]
    cdef Py_ssize_t stop[FIELDS]
    cdef Py_ssize_t used[FIELDS]
    cdef bint sent[FIELDS]
    cdef list strung  # buffers by field number, or None

    cdef int extend(
        self, int number, const uint8_t* data, Py_ssize_t start, Py_ssize_t stop, bint packed
    ) except -1:
        if not self.sent[number]:
            self.sent[number] = True
            if packed:
                self.start[number] = start
                self.stop[number] = stop
                return 0
            self.string(number)
        elif self.strung is None or self.strung[number] is None:
            self.string(number)
            self.append(number, data + self.start[number], self.stop[number] - self.start[number])
        return self.append(number, data + start, stop - start)

    cdef int string(self, int number) except -1:
        if self.strung is None:
            self.strung = [None] * FIELDS
        self.strung[number] = bytearray()
        self.used[number] = 0
        return 0

    cdef int append(self, int number, const void* piece, Py_ssize_t size) except -1:
        buffer = self.strung[number]
        cdef Py_ssize_t used = self.used[number]
        cdef Py_ssize_t room = len(<bytearray>buffer)
        if room - used < size:
            PyByteArray_Resize(buffer, max(64, used + size, room + room // 2))
        memcpy(PyByteArray_AS_STRING(buffer) + used, piece, size)
        self.used[number] = used + size
        return 0

    cdef int finish(self, const uint8_t* data) except -1:
        """Cut the buffers to size and check the integers, when all pieces are there."""
        cdef int number
        if self.strung is not None:
            for number in range(1, FIELDS):
                if self.strung[number] is not None:
                    PyByteArray_Resize(self.strung[number], self.used[number])
        for number in range(1, 6):
            if self.sent[number]:
                self.used[number] = _count(self.run(number, data), self.size(number))
        return 0

    cdef inline const uint8_t* run(self, int number, const uint8_t* data) noexcept:
        if self.strung is not None and self.strung[number] is not None:
            return <const uint8_t*>PyByteArray_AS_STRING(self.strung[number])
        return data + self.start[number]

    cdef inline Py_ssize_t size(self, int number) noexcept:
        if self.strung is not None and self.strung[number] is not None:
            return len(<bytearray>self.strung[number])
        return self.stop[number] - self.start[number]


cdef Py_ssize_t _count(const uint8_t* run, Py_ssize_t size) except -1:
    """Return how many varints a run holds that does not end within one."""
    cdef Py_ssize_t count = 0, position, length = 0
    for position in range(size):
        length += 1
        if run[position] < 0x80:
            if length > LONGEST_VARINT:
                raise WireError("varint longer than 10 bytes")
            count += 1
            length = 0
    return count


cdef inline uint64_t _following(
    const uint8_t* run, Py_ssize_t* place, Py_ssize_t size
) noexcept nogil:
    """Read the next varint of a run that was counted and may have been changed since."""
    cdef Py_ssize_t position = place[0]
    cdef uint64_t value = run[position]
    cdef int shift = 7
    if value >= 0x80:
        value &= 0x7F
        while True:
            position += 1
            if position == size or shift > 63:
                break
            value |= (<uint64_t>(run[position] & 0x7F)) << shift
            shift += 7
            if run[position] < 0x80:
                break
    place[0] = position + 1
    return value


cdef void _unpack(
    const uint8_t* run, Py_ssize_t size, Py_ssize_t count, int itemsize, bint is_bool, char* target
) noexcept nogil:
    """Write varints as integers of ``itemsize`` bytes; their low bytes are kept."""
    cdef Py_ssize_t index, place = 0
    cdef uint64_t value
    for index in range(count):
        value = _following(run, &place, size) if place < size else 0
        if is_bool:
            (<uint8_t*>target)[index] = value != 0
        elif itemsize == 4:
            (<uint32_t*>target)[index] = <uint32_t>value
        elif itemsize == 8:
            (<uint64_t*>target)[index] = value
        elif itemsize == 1:
            (<uint8_t*>target)[index] = <uint8_t>value
        else:
            (<uint16_t*>target)[index] = <uint16_t>value


@cython.freelist(64)
cdef class InputMessage:
    """One ``InferInputTensor`` as sent; the attributes are those of the caller's twin."""

    cdef readonly str name
    cdef readonly str datatype
    cdef readonly list shape
    cdef readonly object parameters
    cdef Contents runs
    cdef object data

    @property
    def contents(self):
        """``None`` without contents, else what each field holds, by its number."""
        if self.runs is None:
            return None
        cdef Contents runs = self.runs
        cdef int number
        held = {}
        for number in range(1, FIELDS):
            if runs.sent[number]:
                held[number] = self._field(number)
        return held

    cdef object _field(self, int number):
        if number > 5:
            return self._view(number)
        cdef Contents runs = self.runs
        cdef Py_buffer view
        cdef object values
        PyObject_GetBuffer(self.data, &view, PyBUF_SIMPLE)
        try:
            values = _integers(
                runs.run(number, <const uint8_t*>view.buf),
                runs.size(number), runs.used[number], 8, False,
            )
        finally:
            PyBuffer_Release(&view)
        return np.frombuffer(values, np.uint64)

    cdef object _view(self, int number):
        cdef Contents runs = self.runs
        if runs.strung is not None and runs.strung[number] is not None:
            return runs.strung[number]
        return PySequence_GetSlice(
            PyMemoryView_FromObject(self.data), runs.start[number], runs.stop[number]
        )


cdef object _integers(
    const uint8_t* run, Py_ssize_t size, Py_ssize_t count, int itemsize, bint is_bool
):
    """Return the bytes of an array of the run's integers."""
    values = PyBytes_FromStringAndSize(NULL, count * itemsize)
    _unpack(run, size, count, itemsize, is_bool, PyBytes_AS_STRING(values))
    return values


cdef class OutputMessage:
    """One ``InferRequestedOutputTensor`` as sent."""

    cdef readonly str name
    cdef readonly object parameters


@cython.freelist(32)
cdef class RequestMessage:
    """One ``ModelInferRequest`` as sent; the attributes are those of the caller's twin."""

    cdef readonly str model_name
    cdef readonly str model_version
    cdef readonly str id
    cdef readonly object parameters
    cdef readonly list inputs
    cdef readonly list outputs
    cdef readonly list raw


cdef RequestMessage _request(object owner, const uint8_t* data, Py_ssize_t size):
    cdef RequestMessage message = RequestMessage.__new__(RequestMessage)
    cdef Py_ssize_t position = 0
    cdef Span span
    cdef object view = None
    message.model_name = message.model_version = message.id = ""
    message.inputs = []
    message.outputs = []
    message.raw = []
    while position < size:
        _next(data, &position, size, 0, &span)
        if span.tag == S7:
            if view is None:
                view = PyMemoryView_FromObject(owner)
            message.raw.append(PySequence_GetSlice(view, span.start, span.stop))
        elif span.tag == S5:
            message.inputs.append(_input(owner, data, &span))
        elif span.tag == S6:
            message.outputs.append(_output(data, &span))
        elif span.tag == S1:
            message.model_name = _text(data, &span)
        elif span.tag == S2:
            message.model_version = _text(data, &span)
        elif span.tag == S3:
            message.id = _text(data, &span)
        elif span.tag == S4:
            message.parameters = _with_entry(message.parameters, data, &span, 1)
    return message


cdef InputMessage _input(object owner, const uint8_t* data, Span* within):
    cdef InputMessage message = InputMessage.__new__(InputMessage)
    cdef Py_ssize_t position = within.start
    cdef Span span
    cdef uint64_t value
    message.name = message.datatype = ""
    message.shape = []
    while position < within.stop:
        _next(data, &position, within.stop, 1, &span)
        if span.tag == S1:
            message.name = _text(data, &span)
        elif span.tag == S2:
            message.datatype = _text(data, &span)
        elif span.tag == S3:
            while span.start < span.stop:
                _read(data, &span.start, span.stop, &value)
                message.shape.append(PyLong_FromLongLong(<int64_t>value))
        elif span.tag == V3:
            value = _value(data, span.start, span.stop)
            message.shape.append(PyLong_FromLongLong(<int64_t>value))
        elif span.tag == S4:
            message.parameters = _with_entry(message.parameters, data, &span, 2)
        elif span.tag == S5:
            if message.runs is None:
                message.runs = Contents.__new__(Contents)
                # A view, so that a buffer that can change its size cannot while we point at it.
                message.data = owner if PyBytes_CheckExact(owner) else memoryview(owner)
            _collect(message.runs, data, &span)
    if message.runs is not None:
        message.runs.finish(data)
    return message


cdef OutputMessage _output(const uint8_t* data, Span* within):
    cdef OutputMessage message = OutputMessage.__new__(OutputMessage)
    cdef Py_ssize_t position = within.start
    cdef Span span
    message.name = ""
    while position < within.stop:
        _next(data, &position, within.stop, 1, &span)
        if span.tag == S1:
            message.name = _text(data, &span)
        elif span.tag == S2:
            message.parameters = _with_entry(message.parameters, data, &span, 2)
    return message


cdef int _collect(Contents runs, const uint8_t* data, Span* within) except -1:
    """Add the fields of one ``InferTensorContents`` to those before it."""
    cdef Py_ssize_t position = within.start
    cdef Span span
    cdef int kind, element
    cdef uint32_t number, length
    while position < within.stop:
        _next(data, &position, within.stop, 2, &span)
        number, kind = span.tag >> 3, span.tag & 7
        if number == BYTES_CONTENTS:
            if kind == LENGTH_DELIMITED:
                if span.stop - span.start > 0xFFFFFFFF:
                    raise WireError("element longer than 4 GiB")
                length = <uint32_t>(span.stop - span.start)
                if not runs.sent[BYTES_CONTENTS]:
                    runs.sent[BYTES_CONTENTS] = True
                    runs.string(BYTES_CONTENTS)
                runs.append(BYTES_CONTENTS, &length, 4)
                runs.append(BYTES_CONTENTS, data + span.start, length)
        elif number < BYTES_CONTENTS:
            element = FIXED32 if number == 6 else FIXED64 if number == 7 else VARINT
            if kind == LENGTH_DELIMITED:
                _check_run(element, data, &span)
                runs.extend(number, data, span.start, span.stop, True)
            elif kind == element:
                runs.extend(number, data, span.start, span.stop, False)
    return 0


cdef int _check_run(int element, const uint8_t* data, Span* span) except -1:
    cdef bint whole
    if element == VARINT:
        whole = span.start == span.stop or data[span.stop - 1] < 0x80
    else:
        whole = ((span.stop - span.start) & (3 if element == FIXED32 else 7)) == 0
    if not whole:
        raise WireError("truncated packed field")
    return 0


cdef object _with_entry(object parameters, const uint8_t* data, Span* within, int depth):
    """Add one map entry; a missing key is ``""`` and a missing value has no alternative."""
    cdef Py_ssize_t position = within.start
    cdef Span span
    key = ""
    value = _NO_PARAMETER
    while position < within.stop:
        _next(data, &position, within.stop, depth, &span)
        if span.tag == S1:
            key = _text(data, &span)
        elif span.tag == S2:
            value = _parameter(value, data, &span, depth + 1)
    if parameters is None:
        parameters = {}
    (<dict>parameters)[key] = value
    return parameters


_NO_PARAMETER = (0, None)


cdef object _parameter(object value, const uint8_t* data, Span* within, int depth):
    cdef Py_ssize_t position = within.start
    cdef Span span
    cdef uint64_t number
    cdef double real
    while position < within.stop:
        _next(data, &position, within.stop, depth, &span)
        if span.tag == V1:
            value = 1, _value(data, span.start, span.stop) != 0
        elif span.tag == V2:
            value = 2, PyLong_FromLongLong(<int64_t>_value(data, span.start, span.stop))
        elif span.tag == S3:
            value = 3, _text(data, &span)
        elif span.tag == F4:
            memcpy(&real, data + span.start, 8)
            value = 4, real
        elif span.tag == V5:
            number = _value(data, span.start, span.stop)
            value = 5, PyLong_FromUnsignedLongLong(number)
    return value


# ---------------------------------------------------------------- writing


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


# ---------------------------------------------------------------- the codec


cdef class _Slots:
    """A class with ``__slots__``, and its slots in an order."""

    cdef object made
    cdef tuple slots

    def __init__(self, made, *names):
        self.made = made
        self.slots = tuple(getattr(made, name) for name in names)


cdef inline object _slot(_Slots slots, int index):
    return <object>(<tuple>slots.slots)[index]


cdef class Codec:
    """
    Decodes requests into the caller's classes and encodes its responses.

    Args:
        error: Raised with a text when bytes are not a request.
        request: The class of requests, with slots.
        tensor: The class of tensors, with slots.
        requested_output: The class of requested outputs, with slots.
        response: The class of responses, with slots.
        apply_parameters: Called with a request and its parameters, to check and keep them.
        to_request: The twin of :meth:`to_request`.
        encode_response: The twin of :meth:`encode_response`.
        encode_stream_response: The twin of :meth:`encode_stream_response`.
        contents: Field of ``InferTensorContents`` -> datatype -> its size in bytes.
        dtypes: Datatype -> dtype; those whose elements have no fixed size left out.
        max_bytes: The largest message.
    """

    cdef object error
    cdef object apply_parameters
    cdef object twin_to_request
    cdef object twin_encode
    cdef object twin_encode_stream
    cdef _Slots request
    cdef _Slots tensor
    cdef _Slots output
    cdef _Slots response
    cdef tuple contents
    cdef dict dtypes
    cdef Py_ssize_t max_bytes

    def __init__(
        self,
        *,
        error,
        request,
        tensor,
        requested_output,
        response,
        apply_parameters,
        to_request,
        encode_response,
        encode_stream_response,
        contents,
        dtypes,
        max_bytes,
    ):
        self.error = error
        self.request = _Slots(
            request, "model_name", "inputs", "model_version", "id", "outputs", "parameters",
            "sequence_id", "sequence_start", "sequence_end", "priority", "timeout_us",
            "received_ns", "deadline_ns", "batch_size",
        )
        self.tensor = _Slots(tensor, "name", "datatype", "shape", "_raw", "_array")
        self.output = _Slots(
            requested_output, "name", "classification", "binary_data", "parameters"
        )
        self.response = _Slots(
            response, "model_name", "model_version", "id", "parameters", "outputs"
        )
        self.apply_parameters = apply_parameters
        self.twin_to_request = to_request
        self.twin_encode = encode_response
        self.twin_encode_stream = encode_stream_response
        self.contents = tuple(contents.get(number, {}) for number in range(FIELDS))
        self.dtypes = dict(dtypes)
        self.max_bytes = max_bytes

    def decode_request(self, data):
        """Decode a ``ModelInferRequest``; raises the caller's error."""
        cdef Py_buffer view
        try:
            if PyBytes_CheckExact(data):
                return _request(
                    data, <const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
                )
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            try:
                return _request(data, <const uint8_t*>view.buf, view.len)
            finally:
                PyBuffer_Release(&view)
        except WireError as error:
            text = str(error)
        raise self.error(f"failed to parse ModelInferRequest: {text}")

    def to_request(self, message):
        """Check a message and return the request it stands for, as the twin does."""
        if type(message) is not RequestMessage:
            return self.twin_to_request(message)
        request = self._to_request(message)
        return self.twin_to_request(message) if request is None else request

    cdef object _to_request(self, RequestMessage message):
        """Return the request, or ``None`` when something is not as it usually is."""
        cdef InputMessage tensor
        cdef dict inputs = {}
        cdef Py_ssize_t used = 0, count = len(message.raw)
        cdef object raw
        outputs = ()
        if message.outputs:
            outputs = self._outputs(message.outputs)
            if outputs is None:
                return None
        for tensor in message.inputs:
            if tensor.parameters is not None:
                return None
            if tensor.runs is not None:
                raw = None if count else self._typed(tensor)
            elif used < count:
                raw = message.raw[used]
                used += 1
            else:
                raw = None
            if raw is None or tensor.name in inputs:
                return None
            inputs[tensor.name] = self._tensor(tensor, raw)
        if used < count:
            return None
        request = self._blank_request(message, inputs, outputs)
        if message.parameters is not None:
            self.apply_parameters(request, message.parameters)
        return request

    cdef object _blank_request(self, RequestMessage message, dict inputs, object outputs):
        cdef _Slots slots = self.request
        request = blank(slots.made)
        put(_slot(slots, 0), request, message.model_name)
        put(_slot(slots, 1), request, inputs)
        put(_slot(slots, 2), request, message.model_version)
        put(_slot(slots, 3), request, message.id)
        put(_slot(slots, 4), request, outputs)
        put(_slot(slots, 5), request, {})
        put(_slot(slots, 6), request, 0)
        put(_slot(slots, 7), request, False)
        put(_slot(slots, 8), request, False)
        put(_slot(slots, 9), request, 0)
        put(_slot(slots, 10), request, 0)
        put(_slot(slots, 11), request, 0)
        put(_slot(slots, 12), request, 0)
        put(_slot(slots, 13), request, 1)
        return request

    cdef object _tensor(self, InputMessage message, object raw):
        cdef _Slots slots = self.tensor
        tensor = blank(slots.made)
        put(_slot(slots, 0), tensor, message.name)
        put(_slot(slots, 1), tensor, message.datatype)
        put(_slot(slots, 2), tensor, PyList_AsTuple(message.shape))
        put(_slot(slots, 3), tensor, raw)
        put(_slot(slots, 4), tensor, None)
        return tensor

    cdef object _outputs(self, list messages):
        cdef OutputMessage message
        cdef _Slots slots = self.output
        cdef list outputs = []
        cdef set names = set()
        for message in messages:
            if message.parameters is not None:
                return None
            names.add(message.name)
            output = blank(slots.made)
            put(_slot(slots, 0), output, message.name)
            put(_slot(slots, 1), output, 0)
            put(_slot(slots, 2), output, False)
            put(_slot(slots, 3), output, None)
            outputs.append(output)
        return outputs if len(names) == len(outputs) else None

    cdef object _typed(self, InputMessage message):
        """Return the raw form of an input's contents, or ``None`` when they are refused."""
        cdef Contents runs = message.runs
        cdef int number, found = 0
        cdef Py_buffer view
        cdef object size
        for number in range(1, FIELDS):
            if runs.sent[number] and runs.size(number):
                if found:
                    return None
                found = number
        if not found:
            return b""
        size = (<dict>self.contents[found]).get(message.datatype)
        if size is None:
            return None
        if found > 5:
            return message._view(found)
        PyObject_GetBuffer(message.data, &view, PyBUF_SIMPLE)
        try:
            return _integers(
                runs.run(found, <const uint8_t*>view.buf),
                runs.size(found), runs.used[found], size, found == 1,
            )
        finally:
            PyBuffer_Release(&view)

    def encode_response(self, response):
        """Encode a ``ModelInferResponse`` as a list of buffers, as the twin does."""
        try:
            return self._encode(response, 0)
        except _Unusual:
            return self.twin_encode(response)

    def encode_stream_response(self, response, *, final=True):
        """Encode a ``ModelStreamInferResponse`` as a list of buffers, as the twin does."""
        try:
            return self._encode(response, 1 if final else 2)
        except _Unusual:
            return self.twin_encode_stream(response, final=final)

    cdef list _encode(self, object response, int stream):
        cdef Writer writer
        cdef char scratch[SCRATCH_BYTES]
        if type(response) is not self.response.made:
            raise _Unusual
        writer.data = writer.scratch = scratch
        writer.size = 0
        writer.room = SCRATCH_BYTES
        try:
            return self._write(&writer, response, stream)
        finally:
            if writer.data != scratch:
                PyMem_Free(writer.data)

    cdef list _write(self, Writer* writer, object response, int stream):
        cdef _Slots slots = self.response
        cdef list buffers = []
        cdef Py_ssize_t total = 0
        name = take(_slot(slots, 0), response)
        version = take(_slot(slots, 1), response)
        id = take(_slot(slots, 2), response)
        outputs = take(_slot(slots, 4), response)
        if name:
            _put_text(writer, S1, name)
        if version:
            _put_text(writer, S2, version)
        if id:
            _put_text(writer, S3, id)
        self._parameters(writer, take(_slot(slots, 3), response), stream)
        for output in outputs:
            if type(output) is not self.tensor.made:
                raise _Unusual
            _put_output(
                writer,
                take(_slot(self.tensor, 0), output),
                take(_slot(self.tensor, 1), output),
                take(_slot(self.tensor, 2), output),
            )
        for output in outputs:
            total += self._data(writer, buffers, output)
        if writer.size:
            buffers.append(PyBytes_FromStringAndSize(writer.data, writer.size))
            total += writer.size
        if total > self.max_bytes:
            raise _Unusual
        if stream:
            writer.size = 0
            _put_varint(writer, S2)
            _put_varint(writer, total)
            buffers.insert(0, PyBytes_FromStringAndSize(writer.data, writer.size))
        return buffers

    cdef int _parameters(self, Writer* writer, object parameters, int stream) except -1:
        if stream:
            parameters = {
                **(parameters or {}), "triton_final_response": stream == 1
            }
        if parameters:
            for key, value in parameters.items():
                _put_parameter(writer, key, value)
        return 0

    cdef Py_ssize_t _data(self, Writer* writer, list buffers, object output) except -1:
        """Write the data of an output; returns the bytes that went into ``buffers``."""
        cdef Py_buffer view
        cdef Py_ssize_t size, done = 0
        raw = take(_slot(self.tensor, 3), output)
        source = self._plain(output) if raw is None else raw
        if source is None:
            source = raw = output.raw()
        PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
        try:
            size = view.len
            _put_varint(writer, S6)
            _put_varint(writer, size)
            if size <= JOINED_BYTES:
                _put_bytes(writer, view.buf, size)
                return 0
        finally:
            PyBuffer_Release(&view)
        buffers.append(PyBytes_FromStringAndSize(writer.data, writer.size))
        buffers.append(output.raw() if raw is None else raw)
        done = writer.size + size
        writer.size = 0
        return done

    cdef object _plain(self, object output):
        """Return the array of an output whose memory is what is to be sent, or ``None``."""
        array = take(_slot(self.tensor, 4), output)
        dtype = self.dtypes.get(take(_slot(self.tensor, 1), output))
        if dtype is None or array.dtype is not dtype or not array.flags.c_contiguous:
            return None
        return array


# ---------------------------------------------------------------- elements of BYTES tensors


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
