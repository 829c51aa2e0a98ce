"""The response cache of models that are composed of others."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inferd._generated import inference as pb
from inferd.backends.loader import BackendLoader
from inferd.errors import NotFound
from inferd.models.loaded import LoadedVersion
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.models.response_caching import sources_of
from inferd.scheduling.cache import ResponseCache

CONFIG = """
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
"""
ENSEMBLE = """
platform: "ensemble"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
ensemble_scheduling { step {
  model_name: "part" model_version: -1
  input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "OUTPUT0" }
} }
response_cache { enable: true }
"""


def ensemble(*steps):
    """Return the config of an ensemble of ``(model, version)`` steps."""
    scheduling = pb.ModelEnsembling(
        step=[pb.ModelEnsemblingStep(model_name=name, model_version=v) for name, v in steps]
    )
    return pb.ModelConfig(ensemble_scheduling=scheduling)


def loaded(config=None):
    """Return a version with this config, as far as its place in an ensemble goes."""
    config = config or pb.ModelConfig()
    return LoadedVersion("m", 1, config, None, None, None, {}, None)


def finding(**models):
    """Return what looks models up by name, ``name_version`` for a version."""

    def find(name, version):
        key = f"{name}_{version}" if version else name
        if key not in models:
            raise NotFound(key)
        return models[key]

    return find


def test_an_ensembles_answers_come_from_the_loads_of_its_models():
    """At any depth, and from the version each step names."""
    a, b, b2 = loaded(), loaded(), loaded()
    outer = loaded(ensemble(("b", -1), ("a", -1)))
    find = finding(a=a, b=b, b_2=b2, inner=outer)

    assert sources_of(pb.ModelConfig(), find) == ()
    assert sources_of(ensemble(("a", -1), ("b", 2)), find) == (a.generation, b2.generation)
    assert sources_of(ensemble(("inner", -1)), find) == (
        outer.generation, b.generation, a.generation,
    )  # fmt: skip
    assert len({a.generation, b.generation, b2.generation, outer.generation}) == 4


@pytest.mark.parametrize(
    "config",
    [
        pb.ModelConfig(sequence_batching=pb.ModelSequenceBatching()),
        pb.ModelConfig(model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True)),
        ensemble(("missing", -1)),
    ],
    ids=["sequences", "decoupled", "missing"],
)
def test_what_a_model_with_a_memory_or_none_at_all_says_is_not_kept(config):
    """However deep it is in the ensemble."""
    plain = loaded(pb.ModelConfig(model_transaction_policy=pb.ModelTransactionPolicy()))
    find = finding(a=plain, odd=loaded(config), inner=loaded(ensemble(("odd", -1))))

    assert sources_of(ensemble(("a", -1)), find) is not None
    assert sources_of(ensemble(("a", -1), ("odd", -1)), find) is None
    assert sources_of(ensemble(("inner", -1)), find) is None


async def test_an_ensemble_asks_a_reloaded_model_again(repository, catalog, ask):
    """Although the ensemble itself stays as it is."""
    folder = repository.add("part", CONFIG)
    repository.add("m", ENSEMBLE)
    cache = ResponseCache(10_000)
    with ThreadPoolExecutor(1) as executor:
        loader = ModelLoader(BackendLoader({}), LoaderSettings(), cache)
        registry = ModelRegistry(catalog, loader, executor)
        await registry.load("m")
        whole = registry.lookup("m", "")
        for content in ("old", "new"):
            (folder / "1" / "data").write_text(content)
            await registry.load("part")
            for _ in range(3):
                await registry.lookup("m", "").scheduler.infer(ask())
            assert registry.lookup("part", "").statistics.execution_count == 1
        assert registry.lookup("m", "") is whole
        assert (whole.statistics.cache_hit.count, whole.statistics.cache_miss.count) == (4, 2)
        await registry.close()

    assert len(cache) == 0
