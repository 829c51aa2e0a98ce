# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, cdivision=True
"""
Numbers in the JSON of KServe v2 requests and responses, without an object for each of them.

:func:`cut` finds the ``data`` arrays of a request's inputs in its text and takes them out,
:func:`fill` reads one straight into an array, :func:`write` writes arrays of floats straight
into a document (orjson does as much for integers). All of them leave the interpreter to others while they work. They know JSON's grammar and IEEE 754, and
no rule of any protocol: whatever is not plainly an array of numbers, they leave to their caller.

Doubles are read by the method of Eisel and Lemire (https://arxiv.org/abs/2101.11408) or
``std::from_chars``, and written by Schubfach (Giulietti, "The Schubfach way to render
doubles", 2020): the nearest double, and the shortest text that reads back as the same.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

include "_json_c.pxi"
include "_json_powers.pxi"
include "_json_cutting.pxi"
include "_json_reading.pxi"
include "_json_filling.pxi"
include "_json_floats.pxi"
include "_json_writing.pxi"
