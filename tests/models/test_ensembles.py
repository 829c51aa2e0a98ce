"""Ensembles of real models in a registry: what loads, stops and waits with what."""

import asyncio
import os

import numpy as np
import pytest

from inferd.errors import LoadFailed, NotFound
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

SLOW = 'parameters { key: "execute_delay_ms" value { string_value: "30" } }'


def step(model, source, target):
    """Return one step over an identity model or ensemble."""
    return (
        f'step {{ model_name: "{model}" model_version: -1 '
        f'input_map {{ key: "INPUT0" value: "{source}" }} '
        f'output_map {{ key: "OUTPUT0" value: "{target}" }} }}\n'
    )


def chain(*models, batch=4, more=""):
    """Return the config of an ensemble that sends its input through the models."""
    tensors = ["INPUT0", *(f"t{index}" for index in range(1, len(models))), "OUTPUT0"]
    steps = "".join(
        step(model, tensors[index], tensors[index + 1]) for index, model in enumerate(models)
    )
    return (
        f'platform: "ensemble" max_batch_size: {batch} {more}\n'
        'input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }\n'
        'output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }\n'
        f"ensemble_scheduling {{ {steps} }}"
    )


def rewrite(folder, text):
    """Replace a model's config, visibly newer."""
    path = folder / "config.pbtxt"
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


def text_of(folder):
    """Return a model's config."""
    return (folder / "config.pbtxt").read_text()


def ready(registry):
    """Return the names of the models that serve."""
    return sorted({loaded.name for loaded in registry.serving()})


def reason(registry, name):
    """Return why version 1 of a model does not serve."""
    return registry.record(name).versions[1].status.reason


async def send(registry, name="e", value=7):
    """Send a request through a model; return the numbers of the answer."""
    array = np.full((1, 2), value, "<i4")
    request = InferRequest(name, {"INPUT0": Tensor("INPUT0", "INT32", (1, 2), array=array)})
    response = await registry.lookup(name, "").scheduler.infer(request)
    return response.outputs[0].array().tolist()


class TestLoad:
    """Loading an ensemble."""

    async def test_its_models_are_loaded_before_it(self, registry, repository):
        """Though nobody asked for them; through ensembles of ensembles, too."""
        repository.add("m")
        repository.add("inner", chain("m", "m"))
        repository.add("e", chain("inner", "m"))
        await registry.load("e")

        assert ready(registry) == ["e", "inner", "m"]
        assert await send(registry) == [[7, 7]]
        assert registry.lookup("e", "").config.platform == "ensemble"
        assert not registry.lookup("e", "").config.instance_group

    async def test_a_model_that_serves_unchanged_is_left_alone(self, registry, repository):
        """Its statistics go on."""
        repository.add("m")
        repository.add("e", chain("m"))
        await registry.load("m")
        before = registry.lookup("m", "")
        await registry.load("e")

        assert registry.lookup("m", "") is before

    async def test_everything_at_once(self, registry, repository):
        """In any order of names; each model is loaded once."""
        repository.add("z")
        repository.add("e", chain("m", "z"))
        repository.add("m", chain("z"))

        assert await registry.load_all(["e", "m", "z"]) == {}
        assert ready(registry) == ["e", "m", "z"]

    async def test_a_model_that_is_nowhere(self, registry, repository):
        """Is named."""
        repository.add("e", chain("m"))
        with pytest.raises(LoadFailed, match="ensemble e contains models that are not available"):
            await registry.load("e")

        assert reason(registry, "e").endswith("or ambiguous: m")
        assert not registry.all_ready()

    async def test_a_model_that_fails_fails_its_ensembles(self, registry, repository, caplog):
        """With its reason, and is tried once."""
        repository.add("m", "nonsense")
        repository.add("e", chain("m"))
        failed = await registry.load_all(["e", "m"])

        assert sorted(failed) == ["e", "m"]
        assert "'e' depends on 'm' which has no loaded version. Model 'm' loading failed" in (
            reason(registry, "e")
        )
        assert caplog.text.count("failed to load 'm'") == 1

    @pytest.mark.parametrize("names", [["a"], ["a", "b"], ["b", "a"]])
    async def test_ensembles_that_need_each_other_are_refused(self, registry, repository, names):
        """Whichever comes first, and no load waits for ever."""
        repository.add("a", chain("b"))
        repository.add("b", chain("a"))
        async with asyncio.timeout(10):
            failed = await registry.load_all(names)

        assert sorted(failed) == names or sorted(failed) == sorted(names)
        assert "circular dependency between ensembles: " in str(failed)
        assert ready(registry) == []

    async def test_loads_of_a_circle_at_the_same_time_end(self, registry, repository):
        """As two clients may ask for them."""
        repository.add("a", chain("b"))
        repository.add("b", chain("a"))
        async with asyncio.timeout(10):
            results = await asyncio.gather(
                registry.load("a"), registry.load("b"), return_exceptions=True
            )

        assert [type(one) for one in results] == [LoadFailed, LoadFailed]

    async def test_a_model_loaded_with_an_override_stays_overridden(self, registry, repository):
        """The ensemble takes it as it is."""
        folder = repository.add("m")
        repository.add("e", chain("m"))
        override = (
            '{"backend":"identity","max_batch_size":9,'
            '"input":[{"name":"INPUT0","data_type":"TYPE_INT32","dims":[2]}],'
            '"output":[{"name":"OUTPUT0","data_type":"TYPE_INT32","dims":[2]}]}'
        )
        await registry.load("m", config=override)
        rewrite(folder, text_of(folder))
        await registry.load("e")

        assert registry.lookup("m", "").config.max_batch_size == 9


class TestReload:
    """A model of an ensemble is loaded again."""

    async def test_the_ensemble_uses_the_new_one(self, registry, repository):
        """Without being loaded again."""
        folder = repository.add("m")
        repository.add("e", chain("m"))
        await registry.load("e")
        before = registry.lookup("e", "")
        rewrite(folder, text_of(folder).replace("4", "8"))
        await registry.load("m")

        assert registry.lookup("e", "") is before
        assert await send(registry) == [[7, 7]]

    async def test_an_ensemble_that_no_longer_fits_stops(self, registry, repository):
        """And so does what is composed of it; they return with a model that fits."""
        folder = repository.add("m")
        repository.add("e", chain("m"))
        repository.add("outer", chain("e"))
        await registry.load("outer")
        good = text_of(folder)
        rewrite(folder, good.replace("max_batch_size: 4", "max_batch_size: 2"))
        await registry.load("m")

        assert ready(registry) == ["m"]
        with pytest.raises(NotFound):
            registry.lookup("e", "")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reason(registry, "e").startswith("Invalid argument: ensemble e allows maximum batch")
        rewrite(folder, good)
        os.utime(folder / "config.pbtxt", ns=(0, 10**18 * 2))
        await registry.load("m")
        assert ready(registry) == ["e", "m", "outer"]

    async def test_a_failed_reload_of_an_ensemble_keeps_the_old_one(self, registry, repository):
        """It still stops with the models it is really composed of."""
        repository.add("m")
        folder = repository.add("e", chain("m"))
        await registry.load("e")
        rewrite(folder, chain("nowhere"))
        with pytest.raises(LoadFailed):
            await registry.load("e")
        assert await send(registry) == [[7, 7]]
        await registry.unload("m")

        assert ready(registry) == []

    async def test_requests_on_their_way_are_answered_by_the_old_one(self, registry, repository):
        """It is freed after them."""
        folder = repository.add("m")
        rewrite(folder, text_of(folder) + SLOW)
        repository.add("e", chain("m", "m"))
        await registry.load("e")
        task = asyncio.get_running_loop().create_task(send(registry))
        await asyncio.sleep(0)
        rewrite(folder, text_of(folder).replace("max_batch_size: 4", "max_batch_size: 8"))
        await registry.load("m")

        assert await task == [[7, 7]]


class TestUnload:
    """An ensemble or one of its models goes."""

    async def test_models_stay_when_their_ensemble_goes(self, registry, repository):
        """They may serve others."""
        repository.add("m")
        repository.add("e", chain("m"))
        await registry.load("e")
        await registry.unload("e")

        assert ready(registry) == ["m"]

    async def test_models_go_with_their_ensemble_when_asked_to(self, registry, repository):
        """Except those that another ensemble needs."""
        for name in ("m", "n", "o"):
            repository.add(name)
        repository.add("inner", chain("m", "n"))
        repository.add("e", chain("inner", "o"))
        repository.add("other", chain("o"))
        await registry.load_all(["e", "other"])
        await registry.unload("e", unload_dependents=True)

        assert ready(registry) == ["o", "other"]
        await registry.unload("other", unload_dependents=True)
        assert ready(registry) == []

    async def test_ensembles_stop_with_their_model_and_return_with_it(self, registry, repository):
        """Unless they were unloaded themselves."""
        for name in ("m", "n"):
            repository.add(name)
        repository.add("e", chain("m", "n"))
        repository.add("gone", chain("m"))
        await registry.load_all(["e", "gone"])
        await registry.unload("gone")
        await registry.unload("m")
        assert ready(registry) == ["n"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reason(registry, "e") == (
            "Invalid argument: ensemble 'e' depends on 'm' which has no loaded version"
        )
        await registry.load("m")

        assert ready(registry) == ["e", "m", "n"]

    async def test_an_ensemble_does_not_bring_back_what_was_unloaded(self, registry, repository):
        """It waits for all of its models."""
        for name in ("m", "n"):
            repository.add(name)
        repository.add("e", chain("m", "n"))
        await registry.load("e")
        await registry.unload("m")
        await registry.unload("n")
        await registry.load("m")
        assert ready(registry) == ["m"]

        await registry.load("n")
        assert ready(registry) == ["e", "m", "n"]

    async def test_a_request_on_its_way_keeps_all_its_models(self, registry, repository):
        """Also those whose step has not begun."""
        folder = repository.add("m")
        rewrite(folder, text_of(folder) + SLOW)
        repository.add("n")
        repository.add("e", chain("m", "n"))
        await registry.load("e")
        task = asyncio.get_running_loop().create_task(send(registry))
        await asyncio.sleep(0)
        for name in ("n", "m", "e"):
            await registry.unload(name)
        assert registry.record("n").versions[1].status.state == "UNLOADING"

        assert await task == [[7, 7]]

    async def test_ensembles_within_ensembles_keep_their_models_too(self, registry, repository):
        """Though the inner one has not begun when everything is unloaded."""
        folder = repository.add("a")
        rewrite(folder, text_of(folder) + SLOW)
        repository.add("m")
        repository.add("inner", chain("m"))
        repository.add("e", chain("a", "inner"))
        await registry.load("e")
        task = asyncio.get_running_loop().create_task(send(registry))
        await asyncio.sleep(0)
        await registry.unload("m")
        assert ready(registry) == ["a"]

        assert await task == [[7, 7]]

    async def test_draining_and_closing_answer_what_was_accepted(self, registry, repository):
        """An ensemble is drained before what it is composed of."""
        folder = repository.add("a")
        rewrite(folder, text_of(folder) + SLOW)
        repository.add("e", chain("a", "a"))
        await registry.load("e")
        task = asyncio.get_running_loop().create_task(send(registry))
        await asyncio.sleep(0)
        await registry.drain()
        await registry.close()

        assert await task == [[7, 7]]

    async def test_a_model_that_comes_back_brings_its_ensembles_back(self, registry, repository):
        """As when a poll finds its folder again."""
        repository.add("m")
        repository.add("e", chain("m"))
        await registry.load_all(["e", "m"])
        await registry.forget("m")
        assert ready(registry) == []
        assert await registry.load_all(["m"]) == {}

        assert ready(registry) == ["e", "m"]

    async def test_a_model_whose_folder_is_gone(self, registry, repository):
        """Takes its ensembles with it; a forgotten ensemble needs nothing any more."""
        repository.add("m")
        repository.add("e", chain("m"))
        await registry.load("e")
        await registry.forget("m")
        assert ready(registry) == []
        await registry.forget("e")
        await registry.load("m")

        assert ready(registry) == ["m"]
