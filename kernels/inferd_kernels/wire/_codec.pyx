# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True
"""
Inference messages of KServe v2 between protobuf's bytes and the caller's objects.

One call decodes a request, one turns it into what a server works on, one encodes an
answer. No object is made per element, and tensors are copied only where their elements
came one by one or are varints. The caller hands in its classes and a twin in Python for
each way. The twin is the specification, and whatever is unusual, most errors included, is
left to it.
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

include "_codec_c.pxi"

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
    WORD_BITS = 32
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

include "_codec_reading.pxi"
include "_codec_messages.pxi"
include "_codec_writing.pxi"
include "_codec_elements.pxi"


cdef class _Slots:
    """A class with ``__slots__``, and its slots in an order."""

    cdef object made
    cdef tuple slots

    def __init__(self, made, *names):
        # A slot that is forgotten would be missing from what is made, and found by chance.
        if set(names) != set(made.__slots__):
            raise TypeError(f"{made.__name__} has the slots {sorted(made.__slots__)}")
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
        self.tensor = _Slots(tensor, "name", "datatype", "shape", "buffer", "_array")
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
