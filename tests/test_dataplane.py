"""The protocol's operations, on real models of the identity backend."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inferd.backends.loader import BackendLoader
from inferd.dataplane import EXTENSIONS, DataPlane, Identity
from inferd.errors import InvalidRequest, LoadFailed, NotFound, PollFailed, Unavailable
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.repository.catalog import Catalog
from tests.dataplane_rig import _plane, _planes, _repository, ask  # noqa: F401 - fixtures


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
