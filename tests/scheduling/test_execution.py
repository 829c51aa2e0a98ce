"""One execution gives every request exactly one answer."""

import gc
import logging
import weakref
from asyncio import CancelledError

import pytest

from inferd.errors import BackendError
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.execution import execute


@pytest.fixture(name="run")
def _run(make):
    """Execute requests on a fresh fake instance."""

    def run(instance, *requests):
        return execute(instance, Assembler(make.signature(), 1), list(requests))

    return run


def test_answers_come_in_order_and_times_ascend(make, run):
    """Each part of the execution is stamped."""
    done = run(make.instance(), make.request(1), make.request(5))

    assert [int(answer.outputs[0].array()[0, 0]) for answer in done.answers] == [2, 6]
    assert done.size == 2
    assert done.start_ns <= done.gathered_ns <= done.executed_ns <= done.end_ns


def test_a_backend_error_answers_every_request(make, run):
    """Its message reaches the clients."""
    instance = make.instance()
    instance.error = BackendError("out of memory")
    done = run(instance, make.request(1), make.request(2))

    assert [str(answer) for answer in done.answers] == ["out of memory"] * 2


def test_an_unforeseen_exception_is_logged_and_hidden(make, run, caplog):
    """Clients do not see what may be a secret; operators see the traceback."""
    instance = make.instance()
    instance.error = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        done = run(instance, make.request(1))

    assert [str(answer) for answer in done.answers] == ["internal error"]
    assert "ZeroDivisionError: secret" in caplog.text


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), CancelledError(), MemoryError()]
)
def test_a_way_out_of_the_process_is_a_failed_execution(make, run, error):
    """A backend that calls ``exit()`` fails its requests, not the server."""
    instance = make.instance()
    instance.error = error
    done = run(instance, make.request(1), make.request(2))

    assert [str(answer) for answer in done.answers] == ["internal error"] * 2
    assert {type(answer) for answer in done.answers} == {BackendError}


def test_a_failed_batch_is_freed_at_once(make, run):
    """The error its requests get does not keep their tensors alive."""
    instance = make.instance()
    instance.error = BackendError("no")
    gc.disable()
    try:
        request = make.request(1, raw=False)
        array = weakref.ref(request.inputs["X"].array())
        done = run(instance, request)
        del request

        assert [str(answer) for answer in done.answers] == ["no"]
        assert array() is None
    finally:
        gc.enable()


def test_too_few_outputs_answer_every_request_with_an_error(make, run):
    """A backend that breaks its contract does not leave a client waiting."""
    instance = make.instance()
    instance.outputs = []
    done = run(instance, make.request(1), make.request(2))

    assert all(isinstance(answer, BackendError) for answer in done.answers)
