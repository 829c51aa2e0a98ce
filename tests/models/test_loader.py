"""From model folder to built version."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferd.backends.loader import BackendLoader
from inferd.errors import BackendError, LoadFailed, PluginError
from inferd.models.loader import LoaderSettings, ModelLoader, activate, discard, reason_of
from inferd.models.registry import ModelRegistry
from inferd.scheduling.cache import ResponseCache

CONFIG = """
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
"""


@pytest.fixture(name="loader")
def _loader():
    """A loader with the installed backends."""
    return ModelLoader(BackendLoader({}), LoaderSettings())


def test_a_model_is_prepared_with_its_defaults(loader, repository):
    """The config is complete and the newest version chosen."""
    folder = repository.add(versions=("1", "2"))
    prepared = loader.prepare("m", folder)

    assert prepared.versions == (2,)
    assert prepared.config.name == "m"
    assert [group.count for group in prepared.config.instance_group] == [1]


def test_an_override_replaces_the_config_file(loader, repository):
    """The file is not even read."""
    folder = repository.add(config="not a config")
    override = (
        '{"backend":"identity","max_batch_size":2,'
        '"input":[{"name":"INPUT0","data_type":"TYPE_FP32","dims":[1]}],'
        '"output":[{"name":"OUTPUT0","data_type":"TYPE_FP32","dims":[1]}]}'
    )

    assert loader.prepare("m", folder, override).config.max_batch_size == 2


def test_a_named_config_is_preferred_where_a_model_has_it(repository):
    """``--model-config-name``; other models use their ordinary config."""
    folder = repository.add()
    (folder / "configs").mkdir()
    named = (folder / "config.pbtxt").read_text().replace("4", "3")
    (folder / "configs" / "small.pbtxt").write_text(named)

    for name, size in (("small", 3), ("other", 4)):
        loader = ModelLoader(BackendLoader({}), LoaderSettings(config_name=name))
        assert loader.prepare("m", folder).config.max_batch_size == size


def test_a_model_without_config_and_without_completion_is_refused(repository):
    """The text names the file."""
    folder = repository.add(config=None)
    loader = ModelLoader(BackendLoader({}), LoaderSettings(auto_complete=False))

    with pytest.raises(LoadFailed, match=r"failed to open text file for read .*config\.pbtxt"):
        loader.prepare("m", folder)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("max_batch: 1", "config.pbtxt"),
        ('backend: "nope" output { name: "O" data_type: TYPE_FP32 dims: [1] }', "'nope'"),
        ('platform: "ensemble" ensemble_scheduling { }', "must specify 'step' for ensemble 'm'"),
        (
            'backend: "identity" version_policy { specific { versions: [9] } }',
            "at least one version",
        ),
        ('backend: "identity"', "at least one output"),
        (
            CONFIG + 'parameters { key: "inferd_deadline_from_timeout" value { } }',
            "must be 'true' or 'false'",
        ),
    ],
)
def test_a_config_that_cannot_be_served_is_refused_with_its_reason(
    loader, repository, config, text
):
    """Whatever is wrong with it."""
    with pytest.raises(LoadFailed, match=text):
        loader.prepare("m", repository.add(config=config))


def test_a_config_that_is_not_text_is_refused(loader, repository):
    """Binary files are named too."""
    folder = repository.add()
    (folder / "config.pbtxt").write_bytes(b"\xff\xfe")

    with pytest.raises(LoadFailed, match="failed to read text proto from"):
        loader.prepare("m", folder)


def test_odd_version_folders_are_reported_and_ignored(loader, repository, caplog):
    """The good ones are served."""
    folder = repository.add(versions=("1", "003", "abc", "warmup"))
    with caplog.at_level(logging.WARNING):
        prepared = loader.prepare("m", folder)

    assert prepared.versions == (1,)
    assert "'003' which contains leading zeros" in caplog.text
    assert "'abc' which fails to convert" in caplog.text
    assert "warmup" not in caplog.text


def test_a_specific_version_that_is_missing_is_reported(loader, repository, caplog):
    """The others still load."""
    config = (
        'backend: "identity" version_policy { specific { versions: [1, 3] } } '
        'input { name: "INPUT0" data_type: TYPE_FP32 dims: [1] } '
        'output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [1] }'
    )
    prepared = loader.prepare("m", repository.add(config=config))

    assert prepared.versions == (1,)
    assert "version 3 is specified for model 'm'" in caplog.text


def test_a_version_is_built_with_its_instances_and_labels(loader, repository):
    """And can be thrown away again."""
    folder = repository.add(versions=("1",), **{"labels.txt": "cat\ndog\n"})
    path = folder / "config.pbtxt"
    path.write_text(
        path.read_text().replace('name: "OUTPUT0"', 'name: "OUTPUT0" label_filename: "labels.txt"')
        + "instance_group { count: 3 kind: KIND_CPU }"
    )
    built = loader.build(loader.prepare("m", folder), 1)

    assert len(built.instances) == 3
    assert built.labels == {"OUTPUT0": ["cat", "dog"]}
    assert built.load_ns > 0
    discard(built)


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ("", 1),
        ("instance_group [ { kind: KIND_CPU count: 1 }, { kind: KIND_CPU count: 2 } ]", 3),
        ("instance_group [ { count: 2 }, { kind: KIND_MODEL } ]", 3),
        ("instance_group [ { kind: KIND_CPU count: 5 passive: true }, { kind: KIND_CPU } ]", 1),
    ],
)
def test_every_group_that_is_not_passive_has_its_instances(loader, repository, groups, count):
    """Those of several groups add up; a group that states no count has the backend's."""
    built = loader.build(loader.prepare("m", repository.add(config=CONFIG + groups)), 1)

    assert len(built.instances) == count
    discard(built)


async def test_a_model_with_a_passive_group_answers(repository, registry, ask):
    """From its other group; one with passive groups only is refused with its reason."""
    passive = "instance_group { kind: KIND_CPU passive: true }"
    repository.add(config=CONFIG + passive + "instance_group { kind: KIND_CPU }")
    repository.add("p", config=CONFIG + passive)
    await registry.load("m")
    scheduler = registry.lookup("m", "").scheduler

    assert (await asyncio.wait_for(scheduler.infer(ask(3)), 10)).outputs
    with pytest.raises(LoadFailed, match="that are not 'passive' for p"):
        await registry.load("p")


def test_a_missing_label_file_fails_the_load(loader, repository):
    """Before anything is loaded."""
    folder = repository.add()
    path = folder / "config.pbtxt"
    path.write_text(
        path.read_text().replace('name: "OUTPUT0"', 'name: "OUTPUT0" label_filename: "no.txt"')
    )

    with pytest.raises(LoadFailed, match=r"no\.txt"):
        loader.build(loader.prepare("m", folder), 1)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LoadFailed("bad"), "Invalid argument: bad"),
        (BackendError("bad"), "Internal: bad"),
        (PluginError("d", "e", "r"), "Internal: backend plugin 'e' of d: r"),
        (ZeroDivisionError("secret"), "Internal: ZeroDivisionError while loading"),
    ],
)
def test_the_reason_of_a_failure_starts_with_its_kind(error, text):
    """As the reference's index shows it."""
    assert reason_of(error) == text


@pytest.mark.parametrize("wanted", [True, False])
def test_only_models_that_ask_for_the_cache_get_it(repository, caplog, wanted):
    """One that asks a server without a cache is told in the log."""
    cache = ResponseCache(10_000)
    enable = str(wanted).lower()
    folder = repository.add(config=CONFIG + f"response_cache {{ enable: {enable} }}")
    with_cache = ModelLoader(BackendLoader({}), LoaderSettings(), cache)
    assert with_cache.prepare("m", folder).cache is (cache if wanted else None)
    assert caplog.records == []

    without = ModelLoader(BackendLoader({}), LoaderSettings())
    assert without.prepare("m", folder).cache is None
    assert ("see --cache-config" in caplog.text) is wanted


async def test_a_reload_forgets_the_responses_of_the_last_load(repository, catalog, ask):
    """Equal requests are executed once per load."""
    cache = ResponseCache(10_000)
    folder = repository.add(config=CONFIG + "response_cache { enable: true }")
    with ThreadPoolExecutor(1) as executor:
        loader = ModelLoader(BackendLoader({}), LoaderSettings(), cache)
        registry = ModelRegistry(catalog, loader, executor)
        for content in ("old", "new"):
            (folder / "1" / "data").write_text(content)
            await registry.load("m")
            loaded = registry.lookup("m", "")
            for value in (7, 7, 8):
                await loaded.scheduler.infer(ask(value))
            assert loaded.statistics.cache_hit.count == 1
            assert loaded.statistics.execution_count == 2
        await registry.close()

    assert len(cache) == 0


@pytest.mark.parametrize(
    ("batch", "scheduler", "combines"),
    [
        (4, "", False),
        (2, "dynamic_batching { }", True),
        (1, "dynamic_batching { }", False),
        (2, "sequence_batching { }", True),
        (0, "sequence_batching { }", False),
    ],
)
async def test_a_version_says_whether_it_puts_requests_together(
    loader, repository, batch, scheduler, combines
):
    """With a scheduler that may, and room for two."""
    config = CONFIG.replace("max_batch_size: 4", f"max_batch_size: {batch}") + scheduler
    loaded = activate(loader.build(loader.prepare("m", repository.add(config=config)), 1), None)
    assert loaded.statistics.combines is combines
    await loaded.close()
