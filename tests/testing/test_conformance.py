"""The conformance suite passes a right backend and catches each kind of wrong one."""

import inspect
from pathlib import Path
from unittest import SkipTest

import pytest

from inferd.backend import Backend, BackendError, Instance, Model
from inferd.backends.identity import IdentityBackend
from inferd.testing import models
from inferd.testing.conformance import BackendConformance
from tests.testing.sum_backend import FakeBackend, FakeInstance, FakeModel
from tests.testing.wrong_backends import WRONG

CHECKS = [name for name, _ in inspect.getmembers(BackendConformance) if name.startswith("test_")]


class TestFakeBackend(BackendConformance):
    """A backend that keeps every promise passes."""

    backend_class = FakeBackend

    def make_model(self, directory):
        """Write a model file."""
        sample = models.add_sub("fake", completes=True)
        (directory / "1" / "model.fake").write_text(sample.config.to_json())
        return sample


class TestIdentityBackend(BackendConformance):
    """The built-in backend passes."""

    backend_class = IdentityBackend

    def make_model(self, directory):
        """There is nothing to write."""
        return models.identity("identity")


class TestIdentityOfBytes(TestIdentityBackend):
    """The built-in backend passes with BYTES tensors and without batching."""

    def make_model(self, directory):
        """There is nothing to write."""
        return models.identity(
            "identity", datatype=models.DataType.TYPE_STRING, tensors=3, max_batch_size=0
        )


def run(check: str, backend: type[Backend], directory: Path) -> None:
    """Run one check of the suite on a backend."""
    suite = TestFakeBackend()
    suite.backend_class = backend
    method = getattr(suite, check)
    method(directory) if "tmp_path" in inspect.signature(method).parameters else method()


class TestSuite:
    """What the suite itself promises."""

    @pytest.mark.parametrize(("check", "backend"), WRONG)
    def test_catches(self, check, backend, tmp_path):
        """A backend that breaks a promise fails the check for it."""
        with pytest.raises((AssertionError, BackendError, ValueError)):
            run(check, backend, tmp_path)

    def test_every_check_catches_something(self):
        """No check of the suite is without a backend that fails it."""
        assert {check for check, _ in WRONG} == set(CHECKS)

    def test_exercises_every_hook(self, tmp_path):
        """Whatever the contract lets a plugin define is called by the suite."""
        called: set[str] = set()

        def noting(base: type) -> type:
            def note(name):
                member = inspect.getattr_static(base, name)
                if isinstance(member, property):
                    return property(lambda self: (called.add(name), member.fget(self))[1])
                return lambda self, *args: (called.add(name), member(self, *args))[1]

            return type(base.__name__, (base,), {name: note(name) for name in hooks(base)})

        def hooks(base: type) -> list[str]:
            return [
                name
                for contract in (Backend, Model, Instance)
                if issubclass(base, contract)
                for name, member in vars(contract).items()
                if not name.startswith("_") and (callable(member) or isinstance(member, property))
            ]

        backend = noting(FakeBackend)
        backend.model = noting(FakeModel)
        backend.model.instance = noting(FakeInstance)
        for check in CHECKS:
            run(check, backend, tmp_path / check)

        assert called == {*hooks(FakeBackend), *hooks(FakeModel), *hooks(FakeInstance)}

    def test_needs_a_model(self, tmp_path):
        """A suite without make_model says so instead of passing."""
        suite = BackendConformance()
        suite.backend_class = FakeBackend

        with pytest.raises(NotImplementedError):
            suite.test_answers_every_batch_size(tmp_path)

    def test_skips_what_does_not_apply(self, tmp_path):
        """A model that takes anything is not asked to refuse, and shows up as skipped."""
        with pytest.raises(SkipTest, match="takes anything"):
            TestIdentityBackend().test_refuses_what_it_cannot_run(tmp_path)
