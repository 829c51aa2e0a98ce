"""Inference through the data plane: deadlines, one answer, futures and streams."""

import asyncio

import numpy as np
import pytest

from inferd.errors import DecoupledModel, InvalidRequest, LoadFailed, NotFound
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.tensors import Tensor
from tests.dataplane_rig import CONFIG, _plane, _planes, _repository, ask  # noqa: F401 - fixtures

SQUARE = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] label_filename: "labels.txt" }
"""


def square(number, **more):
    """Return a request for as many responses."""
    tensor = Tensor("IN", "INT32", (1,), raw=np.array([number], np.int32).tobytes())
    return InferRequest("s", {"IN": tensor}, **more)


class TestDeadlines:
    """A request parameter that is a deadline where the model's config says so."""

    @pytest.fixture(name="deadlines")
    def _deadlines(self, planes, repository):
        """A function that loads the model and returns the deadline of a request to it."""

        async def deadline(value, request):
            text = f'{CONFIG} parameters {{ key: "inferd_deadline_from_timeout" value {{ '
            (repository / "m" / "config.pbtxt").write_text(f'{text} string_value: "{value}" }} }}')
            plane = planes(explicit_control=True)
            await plane.load_model("m")
            await plane.infer(request)
            return request.deadline_ns

        return deadline

    @pytest.mark.parametrize(
        ("given_ns", "expected_ns"), [(0, 2**62 + 1000), (2**62, 2**62), (2**63, 2**62 + 1000)]
    )
    async def test_the_earlier_one_counts(self, deadlines, given_ns, expected_ns):
        """A timeout in microseconds, from the request's arrival."""
        request = ask(1, 2, 3, timeout_us=1, received_ns=2**62, deadline_ns=given_ns)

        assert await deadlines("true", request) == expected_ns

    async def test_without_a_timeout_there_is_none(self, deadlines):
        """The config alone sets none."""
        assert await deadlines("true", ask(1, 2, 3)) == 0

    async def test_elsewhere_a_timeout_is_none(self, deadlines):
        """As in Triton."""
        assert await deadlines("false", ask(1, 2, 3, timeout_us=1)) == 0

    async def test_a_bad_value_fails_the_load(self, deadlines):
        """And says what is expected."""
        with pytest.raises(LoadFailed, match="must be 'true' or 'false', got 'maybe'"):
            await deadlines("maybe", ask(1, 2, 3))


class TestInfer:
    """Inference."""

    async def test_the_newest_version_answers(self, plane):
        """With its number."""
        response = await plane.infer(ask(1, 2, 3, id="r"))

        assert (response.model_version, response.id) == ("2", "r")
        assert response.outputs[0].array().tolist() == [[1, 2, 3]]

    async def test_a_request_that_does_not_fit_is_refused(self, plane):
        """Before it is queued."""
        with pytest.raises(InvalidRequest, match="unexpected shape"):
            await plane.infer(ask(1, 2))
        with pytest.raises(NotFound):
            await plane.infer(ask(1, 2, 3, model_version="7"))

    async def test_classification_uses_the_models_labels(self, plane):
        """Best first; the tensor itself stays available beside it."""
        response = await plane.infer(
            ask(1, 3, 2, outputs=[RequestedOutput("OUTPUT0", classification=2)])
        )
        (output,) = response.outputs

        assert (output.datatype, output.shape) == ("BYTES", (1, 2))
        assert output.array().tolist() == [[b"3.000000:1:dog", b"2.000000:2:owl"]]


class TestStart:
    """Inference whose answer is a future."""

    async def test_the_future_gets_the_answer(self, plane):
        """As if it had been awaited."""
        future = asyncio.Future()
        plane.start(ask(1, 2, 3, id="r"), future)

        response = await future
        assert (response.model_version, response.id) == ("2", "r")

    async def test_a_request_that_does_not_fit_is_refused(self, plane):
        """Before it is queued."""
        with pytest.raises(InvalidRequest, match="unexpected shape"):
            plane.start(ask(1, 2), asyncio.Future())
        with pytest.raises(NotFound):
            plane.start(ask(1, 2, 3, model_version="7"), asyncio.Future())

    async def test_what_has_work_after_the_answer_must_be_awaited(self, plane):
        """Classification, for one."""
        plain, classified = RequestedOutput("OUTPUT0"), RequestedOutput("OUTPUT0", classification=2)
        assert plane.start(ask(1, 3, 2, outputs=[plain]), asyncio.Future()) is not None
        assert plane.start(ask(1, 3, 2, outputs=[classified]), asyncio.Future()) is None

    async def test_a_request_may_be_taken_back(self, plane):
        """Then it is never executed."""
        future = asyncio.Future()
        scheduler, pending = plane.start(ask(1, 2, 3), future)
        scheduler.take_back(pending)

        assert future.cancelled()
        assert scheduler.inflight == 0
        statistics = plane.model_statistics("m", "2")[0]
        assert statistics.execution_count == 0


class TestStream:
    """Replies one by one."""

    @pytest.fixture(name="streams")
    async def _streams(self, planes, tmp_path):
        """A data plane with a decoupled model ``s`` beside ``m``."""
        (tmp_path / "s" / "1").mkdir(parents=True)
        (tmp_path / "s" / "config.pbtxt").write_text(SQUARE)
        (tmp_path / "s" / "labels.txt").write_text("zero\n")
        plane = planes(explicit_control=True)
        for name in "ms":
            await plane.load_model(name)
        return plane

    @staticmethod
    async def collect(source):
        """Return every reply."""
        replies = [await source.receive()]
        while not replies[-1].final:
            replies.append(await source.receive())
        source.close()
        return replies

    async def test_it_is_known_which_models_are_decoupled(self, streams):
        """A model nobody knows raises as it does for inference."""
        assert streams.is_decoupled("s", "")
        assert not streams.is_decoupled("m", "1")
        with pytest.raises(NotFound):
            streams.is_decoupled("no", "")

    async def test_every_response_and_the_end(self, streams):
        """As many as the request asks for."""
        *replies, end = await self.collect(streams.stream(square(3)))

        assert [reply.answer.outputs[0].array().tolist() for reply in replies] == [[3]] * 3
        assert (end.answer, end.final) == (None, True)

    async def test_an_ordinary_model_has_one_reply(self, streams):
        """Whatever comes of it."""
        (reply,) = await self.collect(streams.stream(ask(1, 2, 3)))
        (failed,) = await self.collect(streams.stream(ask(1, 2)))

        assert reply.answer.outputs[0].array().tolist() == [[1, 2, 3]]
        assert isinstance(failed.answer, InvalidRequest)

    async def test_what_is_known_at_once_is_raised(self, streams):
        """An input that does not fit, a model that is not there."""
        bad = square(3)
        bad.inputs["NO"] = bad.inputs.pop("IN")
        with pytest.raises(InvalidRequest):
            streams.stream(bad)
        with pytest.raises(NotFound):
            streams.stream(InferRequest("no", {}))

    async def test_inference_is_refused(self, streams):
        """Because it has one answer."""
        with pytest.raises(DecoupledModel, match="model 's' is decoupled"):
            await streams.infer(square(3))

    async def test_every_response_is_classified(self, streams):
        """With the model's labels."""
        outputs = [RequestedOutput("OUT", classification=1)]
        *replies, _ = await self.collect(streams.stream(square(2, outputs=outputs)))

        assert [reply.answer.outputs[0].array().tolist() for reply in replies] == [
            [b"2:0:zero"]
        ] * 2
