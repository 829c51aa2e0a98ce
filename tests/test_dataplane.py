"""The protocol's operations, on real models of the identity backend."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inferd.backends.loader import BackendLoader
from inferd.dataplane import EXTENSIONS, DataPlane, Identity
from inferd.errors import (
    DecoupledModel,
    InvalidRequest,
    LoadFailed,
    NotFound,
    PollFailed,
    Unavailable,
)
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.tensors import Tensor
from inferd.repository.catalog import Catalog

CONFIG = """
backend: "identity"
max_batch_size: 4
version_policy { all { } }
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 3 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
"""

SQUARE = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] label_filename: "labels.txt" }
"""


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository with one model of two versions."""
    for version in ("1", "2"):
        (tmp_path / "m" / version).mkdir(parents=True)
    (tmp_path / "m" / "config.pbtxt").write_text(CONFIG)
    (tmp_path / "m" / "labels.txt").write_text("cat\ndog\nowl\n")
    return tmp_path


@pytest.fixture(name="planes")
async def _planes(repository):
    """Make data planes over the repository."""
    catalog = Catalog([repository])
    with ThreadPoolExecutor(2) as executor:
        registry = ModelRegistry(
            catalog, ModelLoader(BackendLoader({}), LoaderSettings()), executor
        )

        def plane(**more):
            return DataPlane(registry, catalog, Identity("triton", "1.2"), **more)

        yield plane
        await registry.close()


@pytest.fixture(name="plane")
async def _plane(planes):
    """A data plane that clients may control, with the model loaded."""
    plane = planes(explicit_control=True)
    await plane.load_model("m")
    return plane


def ask(*values, outputs=(), **more):
    """Return a request of one row."""
    array = np.array([values], np.float32)
    tensor = Tensor("INPUT0", "FP32", array.shape, raw=array.tobytes())
    return InferRequest("m", {"INPUT0": tensor}, outputs=outputs, **more)


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


class TestServer:
    """What the server says of itself."""

    def test_it_is_live_and_names_its_extensions(self, planes):
        """The reply never changes."""
        metadata = planes().server_metadata()

        assert planes().is_live()
        assert (metadata.name, metadata.version) == ("triton", "1.2")
        assert metadata.extensions == list(EXTENSIONS)

    async def test_it_is_ready_when_every_model_is(self, plane, repository):
        """Unless readiness is not strict."""
        assert plane.is_ready()
        (repository / "bad" / "1").mkdir(parents=True)
        with pytest.raises(LoadFailed):
            await plane.load_model("bad")

        assert not plane.is_ready()

    async def test_without_strict_readiness_a_failed_model_does_not_count(self, planes, repository):
        """The server answers for the others."""
        (repository / "bad" / "1").mkdir(parents=True)
        plane = planes(explicit_control=True, strict_readiness=False)
        with pytest.raises(LoadFailed):
            await plane.load_model("bad")

        assert plane.is_ready()

    def test_it_is_not_ready_once_it_stops(self, planes):
        """But still live."""
        plane = planes()
        plane.stop_accepting()

        assert (plane.is_live(), plane.is_ready()) == (True, False)


class TestModel:
    """What a model says of itself."""

    def test_readiness(self, plane):
        """Unknown models and versions are simply not ready."""
        answers = [
            plane.is_model_ready(*key) for key in (("m", ""), ("m", "1"), ("m", "9"), ("x", ""))
        ]

        assert answers == [True, True, False, False]
        with pytest.raises(InvalidRequest):
            plane.is_model_ready("m", "abc")

    def test_metadata(self, plane):
        """All ready versions, or the one asked for; shapes with the batch dimension."""
        metadata = plane.model_metadata("m", "")

        assert (metadata.versions, metadata.platform) == (["1", "2"], "identity")
        assert metadata.inputs[0].shape == [-1, 3]
        assert metadata.outputs[0].datatype == "FP32"
        assert plane.model_metadata("m", "1").versions == ["1"]
        assert plane.signature("m", "").max_batch_size == 4

    def test_config_is_a_copy(self, plane):
        """A client of the object cannot change the model."""
        plane.model_config("m", "").max_batch_size = 99

        assert plane.model_config("m", "").max_batch_size == 4

    async def test_statistics(self, plane):
        """Of one version, of all versions, of all models."""
        await plane.infer(ask(1, 2, 3, model_version="1"))
        counts = [one.inference_count for one in plane.model_statistics("m", "")]

        assert counts == [1, 0]
        assert [one.version for one in plane.model_statistics("", "")] == ["1", "2"]
        assert [one.version for one in plane.model_statistics("m", "2")] == ["2"]

    @pytest.mark.parametrize(
        ("name", "version", "text"),
        [
            ("x", "", "requested model 'x' is not available"),
            ("m", "9", "requested model version is not available for model 'm'"),
        ],
    )
    def test_statistics_of_what_does_not_serve(self, plane, name, version, text):
        """The texts are the reference's."""
        with pytest.raises(InvalidRequest, match=text):
            plane.model_statistics(name, version)


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
        _, pending = plane.start(ask(1, 2, 3, id="r"))

        response = await pending.future
        assert (response.model_version, response.id) == ("2", "r")

    async def test_a_request_that_does_not_fit_is_refused(self, plane):
        """Before it is queued."""
        with pytest.raises(InvalidRequest, match="unexpected shape"):
            plane.start(ask(1, 2))
        with pytest.raises(NotFound):
            plane.start(ask(1, 2, 3, model_version="7"))

    async def test_what_has_work_after_the_answer_must_be_awaited(self, plane):
        """Classification, for one."""
        assert plane.start(ask(1, 3, 2, outputs=[RequestedOutput("OUTPUT0")])) is not None
        outputs = [RequestedOutput("OUTPUT0", classification=2)]
        assert plane.start(ask(1, 3, 2, outputs=outputs)) is None

    async def test_a_request_may_be_taken_back(self, plane):
        """Then it is never executed."""
        scheduler, pending = plane.start(ask(1, 2, 3))
        scheduler.take_back(pending)

        assert pending.future.cancelled()
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


class TestControl:
    """The repository API."""

    @pytest.mark.parametrize("call", ["load_model", "unload_model"])
    async def test_only_the_explicit_mode_allows_it(self, planes, call):
        """The text is the reference's, whatever the mode."""
        with pytest.raises(Unavailable, match="explicit model load / unload is not allowed if"):
            await getattr(planes(), call)("m")

    @pytest.mark.parametrize("name", ["", "../m", "a/b"])
    async def test_a_name_that_is_no_name(self, plane, name):
        """Nothing outside the repository can be named."""
        with pytest.raises(InvalidRequest):
            await plane.load_model(name)

    async def test_files_need_a_config(self, plane):
        """The text is the reference's."""
        with pytest.raises(InvalidRequest, match="'config' must be specified for model file over"):
            await plane.load_model("m", files={"1/a": b""})

    async def test_a_model_that_is_nowhere(self, plane):
        """There is nothing to load."""
        with pytest.raises(PollFailed):
            await plane.load_model("x")

    async def test_the_index_lists_everything(self, plane, repository):
        """Loaded, failed, unloaded and never loaded."""
        (repository / "bad" / "1").mkdir(parents=True)
        (repository / "new" / "1").mkdir(parents=True)
        with pytest.raises(LoadFailed):
            await plane.load_model("bad")
        rows = [(one.name, one.version, one.state) for one in plane.repository_index(False)]

        assert rows == [
            ("bad", "1", "UNAVAILABLE"),
            ("m", "1", "READY"),
            ("m", "2", "READY"),
            ("new", "", ""),
        ]
        assert [one.version for one in plane.repository_index(True)] == ["1", "2"]

    async def test_a_model_in_two_repositories_is_listed_once(self, repository):
        """With the reference's reason, and served from neither."""
        catalog = Catalog([repository, repository])
        with ThreadPoolExecutor(1) as executor:
            loader = ModelLoader(BackendLoader({}), LoaderSettings())
            registry = ModelRegistry(catalog, loader, executor)
            plane = DataPlane(registry, catalog, Identity("triton", "1"))
            (entry,) = plane.repository_index(False)

        assert (entry.name, entry.version, entry.state) == ("m", "", "UNAVAILABLE")
        assert entry.reason == "model appears in two or more repositories"

    async def test_an_unloaded_model_is_listed_with_its_reason(self, plane):
        """Once the last request is answered."""
        await plane.unload_model("m", unload_dependents=True)

        assert {one.state for one in plane.repository_index(False)} <= {"UNLOADING", "UNAVAILABLE"}
        assert not plane.is_model_ready("m", "")


class TestScheduler:
    """What the schedulers say."""

    async def test_the_newest_version_answers_unless_one_is_named(self, plane):
        """With what it has executed."""
        await plane.infer(ask(1, 2, 3))
        newest, first = plane.scheduler_report("m", ""), plane.scheduler_report("m", "1")

        assert (newest.model, newest.version, newest.kind) == ("m", 2, "default")
        assert len(newest.snapshot.batches.recent) == 1
        assert (first.version, first.snapshot.batches.recent) == (1, [])

    @pytest.mark.parametrize(("name", "version"), [("no", ""), ("m", "9")])
    async def test_what_nobody_knows_has_no_scheduler(self, plane, name, version):
        """As for every endpoint of a model."""
        with pytest.raises(NotFound):
            plane.scheduler_report(name, version)

    async def test_what_does_not_serve_is_unavailable(self, plane):
        """After an unload."""
        await plane.unload_model("m")
        with pytest.raises((NotFound, Unavailable)):
            plane.scheduler_report("m", "")
