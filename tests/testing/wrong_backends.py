"""Backends that break one promise each, and the check of the suite that notices."""

import threading

import numpy as np

from inferd.backend import Backend, BackendError, Instance, ModelConfig
from tests.testing.sum_backend import FakeBackend, FakeInstance, FakeModel


def with_instance(instance_class: type[Instance]) -> type[Backend]:
    """Return the fake backend with other instances."""

    class Broken(FakeModel):
        instance = instance_class

    class BrokenBackend(FakeBackend):
        model = Broken

    return BrokenBackend


class OldContract(FakeBackend):
    """Forgets the contract's version."""

    API_VERSION = 0


class NamelessFramework(FakeBackend):
    """Has a version that is no text."""

    framework_version = None


class MeddlesomeCompletion(FakeBackend):
    """Changes a config that is complete."""

    def complete_config(self, context):
        """Change it."""
        config = super().complete_config(context)
        config.max_batch_size = 4
        return config


class HalfCompletion(FakeBackend):
    """Forgets the outputs."""

    def complete_config(self, context):
        """Fill in the inputs alone."""
        given = list(context.config.output)
        config = super().complete_config(context)
        config.output = given
        return config


class RawErrors(FakeBackend):
    """Lets the framework's exceptions out."""

    def read(self, context):
        """Read without care."""
        return ModelConfig.from_json(context.model_path.read_text())


class ManyLines(FakeBackend):
    """Tells a broken file with the framework's whole report."""

    def read(self, context):
        """Report on two lines."""
        try:
            return super().read(context)
        except BackendError as error:
            raise BackendError("cannot read:\n" + error.message) from error


class ReadsNothing(FakeBackend):
    """Finds out on the first request that there is no model."""

    def load(self, context):
        """Make a model of anything."""
        return self.model()


class FirstRowOnly(FakeInstance):
    """Forgets all rows but the first."""

    def execute(self, batch):
        """Answer one row."""
        return [array[:1] for array in super().execute(batch)]


class WrongType(FakeInstance):
    """Computes in double precision and leaves it at that."""

    def execute(self, batch):
        """Answer in FP64."""
        return [array.astype(np.float64) for array in super().execute(batch)]


class WrongValues(FakeInstance):
    """Is wrong for full batches."""

    def execute(self, batch):
        """Answer 0 for a batch of eight."""
        return [array * (batch.size < 8) for array in super().execute(batch)]


class FailsTheSecond(FakeInstance):
    """Answers the first request of a batch alone."""

    def execute(self, batch):
        """Fail the second request."""
        if len(batch.requests) > 1:
            batch.fail(1, BackendError("one at a time"))
        return super().execute(batch)


class UnknownRequest(FakeInstance):
    """Counts requests from 1."""

    def execute(self, batch):
        """Attach parameters to a request that does not exist."""
        batch.set_parameters(len(batch.requests), {"a": 1})
        return super().execute(batch)


class AllOutputs(FakeInstance):
    """Does not care which outputs are wanted."""

    def execute(self, batch):
        """Return both outputs."""
        left, right = batch.inputs["INPUT0"], batch.inputs["INPUT1"]
        return [left + right, left - right]


class SortsOutputs(FakeInstance):
    """Returns the outputs sorted by name."""

    def execute(self, batch):
        """Return them in alphabetical order."""
        results = dict(zip(batch.output_names, super().execute(batch), strict=True))
        return [results[name] for name in sorted(results)]


class WritesInputs(FakeInstance):
    """Adds in place."""

    def execute(self, batch):
        """Write the sum into the first input."""
        results = super().execute(batch)
        batch.inputs["INPUT0"] += batch.inputs["INPUT1"]
        return results


class OneBuffer(FakeInstance):
    """Returns the same output buffers each time."""

    def __init__(self, model) -> None:
        super().__init__(model)
        self.buffers: dict = {}

    def execute(self, batch):
        """Answer in the buffers of the last call."""
        results = super().execute(batch)
        for name, array in zip(batch.output_names, results, strict=True):
            self.buffers.setdefault((name, array.shape), np.empty_like(array))[...] = array
        return [
            self.buffers[name, array.shape]
            for name, array in zip(batch.output_names, results, strict=True)
        ]


class LazyAnswer(FakeInstance):
    """Returns views on what it was given."""

    def execute(self, batch):
        """Write the results into the inputs and return those."""
        results = super().execute(batch)
        inputs = [batch.inputs["INPUT0"], batch.inputs["INPUT1"]]
        for array, result in zip(inputs, results, strict=True):
            array[...] = result
        return inputs


class SharesState(FakeInstance):
    """Keeps the current request in the model, which another thread overwrites."""

    def __init__(self, model) -> None:
        super().__init__(model)
        model.meetings = [threading.Barrier(2), threading.Barrier(2)]

    def execute(self, batch):
        """Answer whichever request came last, when both threads are here."""
        self.model.current = dict(batch.inputs)
        meetings = self.model.meetings
        if meetings:
            meetings[0].wait(timeout=10)
            batch.inputs = self.model.current
            meetings[1].wait(timeout=10)
            self.model.meetings = []
        return super().execute(batch)


class RaisesAnything(FakeInstance):
    """Lets the framework's exceptions out."""

    def execute(self, batch):
        """Raise what NumPy raises."""
        try:
            return super().execute(batch)
        except BackendError as error:
            raise ValueError(error.message) from error


class TakesAnything(FakeInstance):
    """Answers inputs of any shape."""

    execute = AllOutputs.execute


class StaysBroken(FakeInstance):
    """Does not recover from an error."""

    broken = False

    def execute(self, batch):
        """Fail once, then for ever."""
        try:
            if self.broken:
                raise BackendError("still broken")
            return super().execute(batch)
        except BackendError:
            self.broken = True
            raise


class ClosesAll(FakeInstance):
    """Takes the whole model down with it."""

    def execute(self, batch):
        """Fail once any instance is closed."""
        if getattr(self.model, "closed", False):
            raise BackendError("closed")
        return super().execute(batch)

    def close(self):
        """Close the model."""
        self.model.closed = True


WRONG = [
    ("test_declares_the_contract", OldContract),
    ("test_describes_itself", NamelessFramework),
    ("test_keeps_a_complete_config", MeddlesomeCompletion),
    ("test_completes_a_config", HalfCompletion),
    ("test_reports_a_missing_model_file", RawErrors),
    ("test_reports_a_missing_model_file", ReadsNothing),
    ("test_reports_a_corrupt_model_file", RawErrors),
    ("test_reports_a_corrupt_model_file", ManyLines),
    ("test_answers_every_batch_size", with_instance(FirstRowOnly)),
    ("test_answers_every_batch_size", with_instance(WrongType)),
    ("test_answers_every_batch_size", with_instance(WrongValues)),
    ("test_answers_several_requests_at_once", with_instance(FailsTheSecond)),
    ("test_answers_several_requests_at_once", with_instance(UnknownRequest)),
    ("test_returns_requested_outputs_in_order", with_instance(AllOutputs)),
    ("test_returns_requested_outputs_in_order", with_instance(SortsOutputs)),
    ("test_takes_read_only_inputs", with_instance(WritesInputs)),
    ("test_leaves_its_inputs_alone", with_instance(WritesInputs)),
    ("test_outputs_outlive_the_call", with_instance(OneBuffer)),
    ("test_outputs_outlive_the_call", with_instance(LazyAnswer)),
    ("test_instances_run_at_once", with_instance(SharesState)),
    ("test_refuses_what_it_cannot_run", with_instance(RaisesAnything)),
    ("test_refuses_what_it_cannot_run", with_instance(TakesAnything)),
    ("test_refuses_what_it_cannot_run", with_instance(StaysBroken)),
    ("test_closing_one_leaves_the_others", with_instance(ClosesAll)),
]
