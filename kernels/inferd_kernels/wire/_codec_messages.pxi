# The messages as sent and how they are decoded; included by _codec.pyx, whose imports it uses.


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
                if (span.stop - span.start) >> WORD_BITS:
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
