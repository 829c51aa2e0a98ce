# What the codec calls of CPython, and slots filled without looking them up.

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
