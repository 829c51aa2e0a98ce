"""The inputs of the sum-and-difference models and the check of their answers."""

import numpy as np

LEFT = np.arange(16, dtype=np.int32).reshape(1, 16)
RIGHT = np.ones((1, 16), np.int32)


def inputs(module, left=LEFT, right=RIGHT, datatype="INT32", **how):
    """Return both inputs as objects of a client module; ``how`` goes to the HTTP client."""
    made = []
    for name, values in (("INPUT0", left), ("INPUT1", right)):
        tensor = module.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, **how)
        made.append(tensor)
    return made


def outputs(module, **how):
    """Return both outputs as objects of a client module."""
    return [module.InferRequestedOutput(name, **how) for name in ("OUTPUT0", "OUTPUT1")]


def check(result, left=LEFT, right=RIGHT):
    """Fail unless the answer holds the sum and the difference."""
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), left + right)
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), left - right)


def as_text(values):
    """Return integers written as text, one bytes object each."""
    return np.array([str(v).encode() for v in values.flat], object).reshape(values.shape)


def check_text(result, left=LEFT, right=RIGHT):
    """Fail unless the answer holds the sum and the difference, written as text."""
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), as_text(left + right))
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), as_text(left - right))
