"""Tests of calls into backends that must not end the server."""

import pytest

from inferd.errors import BackendError
from inferd.models.containment import contained


def _raise(error: BaseException) -> None:
    raise error


def test_a_result_and_an_exception_pass() -> None:
    """What a backend returns or raises reaches the caller."""
    assert contained(int, "5") == 5
    with pytest.raises(ValueError, match="invalid literal"):
        contained(int, "five")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_way_out_of_the_process_is_a_failed_backend(error: BaseException) -> None:
    """Model code that calls ``exit()`` fails to load; the server lives on."""
    with pytest.raises(BackendError, match=f"the backend raised {type(error).__name__}"):
        contained(_raise, error)
