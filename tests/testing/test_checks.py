"""The conformance suite's comparisons say what differs, and nothing that does not."""

import numpy as np
import pytest

from inferd._generated.inference import DataType
from inferd.backend import Backend, BackendError, Instance, Model
from inferd.testing import checks, models


def compare(sample, outputs, names=()) -> None:
    """Compare outputs of the sample's first inputs."""
    inputs = sample.inputs(2)
    checks.compare(sample, inputs, checks.make_batch(sample, inputs, outputs=names), outputs)


class TestCompare:
    """Outputs against what they must be."""

    def test_right_answer(self):
        """Equal arrays pass."""
        sample = models.identity("any", tensors=1)

        compare(sample, [sample.inputs(2)["INPUT0"]])

    def test_text_equals_its_bytes(self):
        """BYTES outputs may be str or bytes."""
        sample = models.identity("any", datatype=DataType.TYPE_STRING, tensors=1)
        decoded = [[item.decode() for item in row] for row in sample.inputs(2)["INPUT0"]]

        compare(sample, [np.array(decoded, object)])

    def test_rounding_passes(self):
        """Floating-point outputs may differ in their last bits."""
        sample = models.identity("any", tensors=1)

        compare(sample, [np.nextafter(sample.inputs(2)["INPUT0"], np.float32(99))])

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda a: [], "it returned 0 outputs, 1 were asked for"),
            (lambda a: [a.astype(np.float64)], "output OUTPUT0 is float64, not float32"),
            (lambda a: [a[:1]], r"output OUTPUT0 has shape \(1, 3\), not \(2, 3\)"),
            (lambda a: [a + 1], "output OUTPUT0 is "),
        ],
    )
    def test_wrong_answer(self, change, problem):
        """A wrong count, datatype, shape or value is told apart."""
        sample = models.identity("any", tensors=1)

        with pytest.raises(AssertionError, match=problem):
            compare(sample, change(sample.inputs(2)["INPUT0"]))

    def test_integers_must_be_equal(self):
        """Integers and bit patterns have no tolerance."""
        sample = models.identity("any", datatype=DataType.TYPE_UINT64, tensors=1)

        with pytest.raises(AssertionError, match="output OUTPUT0 is"):
            compare(sample, [sample.inputs(2)["INPUT0"] + np.uint64(1)])


class TestMakeBatch:
    """Batches as the scheduler makes them."""

    def test_rows_are_shared_out(self):
        """Each request has its own rows, and the batch all of them."""
        sample = models.add_sub("any")
        batch = checks.make_batch(sample, sample.inputs(5), rows=(3, 2))

        assert batch.size == 5
        assert [request.batch_size for request in batch.requests] == [3, 2]
        assert batch.requests[1].inputs["INPUT0"].shape == (2, 16)

    def test_model_that_does_not_batch(self):
        """Without batching a batch is one request of size 1, however long the tensor."""
        sample = models.add_sub("any", max_batch_size=0)
        batch = checks.make_batch(sample, sample.inputs(1))

        assert batch.size == 1
        assert batch.requests[0].inputs["INPUT0"].shape == (16,)
        assert batch.output_names == ["OUTPUT0", "OUTPUT1"]


class TestRequireBackendError:
    """Errors of a backend."""

    def test_passes(self):
        """A BackendError on one line is right."""

        def fail() -> None:
            raise BackendError("no such file")

        checks.require_backend_error(fail)

    @pytest.mark.parametrize(
        "error", [BackendError("two\nlines"), BackendError(""), ValueError("other")]
    )
    def test_refuses(self, error):
        """Other errors, and messages that do not fit a log line, are wrong."""

        def fail() -> None:
            raise error

        with pytest.raises(AssertionError):
            checks.require_backend_error(fail)

    def test_no_error_at_all(self):
        """A call that works although it must not is wrong."""
        with pytest.raises(AssertionError, match="ended with None"):
            checks.require_backend_error(lambda: None)


class TestLoadedModel:
    """Closing what was opened."""

    def test_closes_instances_before_the_model(self):
        """Each instance is closed once, and the model after all of them."""
        closed: list[object] = []

        class Noting(Instance):
            def execute(self, batch):
                raise NotImplementedError

            def close(self):
                closed.append(self)

        class NotingModel(Model):
            def create_instance(self, placement):
                return Noting()

            def close(self):
                closed.append(self)

        model = NotingModel()
        loaded = checks.LoadedModel(models.identity("any"), model, lambda index: index)
        first, second = loaded.create(), loaded.create()
        loaded.close_one(first)
        loaded.close()

        assert closed == [first, second, model]


class TestConfigs:
    """Configs as the server hands them over."""

    def test_context_has_its_own_config(self, tmp_path):
        """A backend that changes its config does not change the sample's."""
        sample = models.identity("any")

        checks.make_context(sample.config, tmp_path).config.max_batch_size = 1

        assert sample.config.max_batch_size == 8

    def test_filename_is_filled_in(self):
        """The backend's file name is used unless the config has one."""

        class Named(Backend):
            default_filename = "model.named"

        config = models.identity("any").config

        assert checks.with_filename(config, Named).default_model_filename == "model.named"
        config.default_model_filename = "other"
        assert checks.with_filename(config, Named).default_model_filename == "other"

    def test_without_tensors(self):
        """What is left says which model it is and nothing about its tensors."""
        bare = checks.without_tensors(models.identity("any").config)

        assert (bare.name, bare.backend) == ("identity", "any")
        assert checks.described_tensors(bare) == (False, [], [])
