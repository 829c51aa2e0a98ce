"""Ensembles with decoupled models in a registry: what becomes decoupled and ordinary with what."""

import numpy as np
import pytest

from inferd.errors import LoadFailed
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from tests.models.test_ensembles import ready, reason, rewrite, text_of

POLICY = "model_transaction_policy { decoupled: true }\n"


def pair(kind, key, value):
    """Return one entry of an input or output map."""
    return f'{kind}_map {{ key: "{key}" value: "{value}" }} '


def single(backend, count=1, given="INPUT{}", made="OUTPUT{}"):
    """Return the config of a model of single numbers that does not batch."""
    return f'backend: "{backend}"\n' + "".join(
        f'input {{ name: "{given.format(i)}" data_type: TYPE_INT32 dims: [ 1 ] }}\n'
        f'output {{ name: "{made.format(i)}" data_type: TYPE_INT32 dims: [ 1 ] }}\n'
        for i in range(count)
    )


MANY = single("square", given="IN", made="OUT") + POLICY
ONCE = single("identity")


def numbers(*models, source="", extra="", more=""):
    """Return the config of an ensemble of single numbers over ``model input output [tensor]``."""
    before, steps = "INPUT0", ""
    for index, (model, given, made, *tensor) in enumerate(one.split() for one in models):
        last = "OUTPUT0" if index == len(models) - 1 else f"t{index}"
        after = tensor[0] if tensor else last
        steps += (
            f'step {{ model_name: "{model}" model_version: -1 '
            f"{pair('input', given, source or before)}{pair('output', made, after)}}}\n"
        )
        before = after
    head = single("").replace('backend: ""', 'platform: "ensemble"')
    return f"{head}{more}\nensemble_scheduling {{ {steps}{extra} }}"


def stream(registry, name, value):
    """Send a number to a decoupled model; return the replies."""
    array = np.array([value], "<i4")
    return registry.lookup(name, "").scheduler.stream(
        InferRequest(name, {"INPUT0": Tensor("INPUT0", "INT32", (1,), array=array)})
    )


async def rest(replies):
    """Return the numbers of all replies that are left."""
    found, final = [], False
    while not final:
        answer, final = await replies.receive()
        if answer is not None:
            found.append(int(answer.outputs[0].array()[0]))
    return found


async def received(registry, name, value):
    """Return the numbers a decoupled model answers a number with."""
    return await rest(stream(registry, name, value))


class TestDecoupled:
    """An ensemble one of whose models has any number of responses."""

    @pytest.mark.parametrize("names", [["outer"], ["e", "outer", "many"], ["outer", "many", "e"]])
    async def test_an_ensemble_of_a_decoupled_model_is_decoupled(self, registry, repository, names):
        """Its config says so, whatever is loaded first, and so does that of one around it."""
        repository.add("many", MANY)
        repository.add("m", single("identity"))
        repository.add("e", numbers("many IN OUT"))
        repository.add("outer", numbers("e INPUT0 OUTPUT0", "m INPUT0 OUTPUT0"))
        repository.add("plain", numbers("m INPUT0 OUTPUT0"))
        assert await registry.load_all([*names, "plain"]) == {}

        for name, expected in (("e", True), ("outer", True), ("plain", False)):
            loaded = registry.lookup(name, "")
            assert loaded.decoupled is expected
            policy = loaded.config.model_transaction_policy
            assert (policy is not None and policy.decoupled) is expected
        assert await received(registry, "outer", 3) == [3, 3, 3]

    async def test_a_response_cache_is_refused(self, registry, repository):
        """Though the config itself does not say that it is decoupled."""
        repository.add("many", MANY)
        repository.add("e", numbers("many IN OUT", more="response_cache { enable: true }"))
        with pytest.raises(LoadFailed, match="support model e with 'decoupled' transaction poli"):
            await registry.load("e")

        assert ready(registry) == ["many"]

    async def test_responses_of_different_models_do_not_go_together(self, registry, repository):
        """The ensemble is refused, its models serve."""
        repository.add("many", MANY)
        repository.add("pair", single("identity", 2))
        beside = (
            'step { model_name: "pair" model_version: -1 '
            + pair("input", "INPUT0", "t1")
            + pair("input", "INPUT1", "t2")
            + pair("output", "OUTPUT0", "OUTPUT0")
            + "}"
        )
        config = numbers("many IN OUT t1", "many IN OUT t2", source="INPUT0", extra=beside)
        repository.add("e", config)
        with pytest.raises(LoadFailed, match="step of model 'pair' receives inputs originated fr"):
            await registry.load("e")

        assert ready(registry) == ["many", "pair"]

    async def test_a_model_that_becomes_decoupled_takes_its_ensembles_along(
        self, registry, repository
    ):
        """They are loaded again and decoupled then; and back."""
        folder = repository.add("m", ONCE)
        repository.add("e", numbers("m INPUT0 OUTPUT0"))
        repository.add("outer", numbers("e INPUT0 OUTPUT0"))
        await registry.load("outer")
        assert not registry.lookup("outer", "").decoupled
        for decoupled in (True, False):
            rewrite(folder, text_of(folder) + POLICY if decoupled else ONCE)
            await registry.load("m")

            assert ready(registry) == ["e", "m", "outer"]
            assert registry.lookup("m", "").decoupled is decoupled
            for name in ("e", "outer"):
                assert registry.lookup(name, "").decoupled is decoupled

    async def test_an_ensemble_that_calls_itself_decoupled_stays_so(self, registry, repository):
        """Whatever its models are."""
        folder = repository.add("m", ONCE)
        repository.add("e", numbers("m INPUT0 OUTPUT0", more=POLICY))
        await registry.load("e")
        before = registry.lookup("e", "")
        rewrite(folder, ONCE)
        await registry.load("m")

        assert registry.lookup("e", "") is before
        assert before.decoupled

    async def test_a_cached_ensemble_whose_model_becomes_decoupled_stops(
        self, registry, repository
    ):
        """Its reason is the cache."""
        folder = repository.add("m", ONCE)
        repository.add("e", numbers("m INPUT0 OUTPUT0", more="response_cache { enable: true }"))
        await registry.load("e")
        rewrite(folder, ONCE + POLICY)
        await registry.load("m")

        assert ready(registry) == ["m"]
        assert "with 'decoupled' transaction policy" in reason(registry, "e")

    async def test_its_models_go_with_it_when_asked_to(self, registry, repository):
        """A request that streams is answered to its end first."""
        repository.add("many", MANY)
        repository.add("e", numbers("many IN OUT"))
        await registry.load("e")
        replies = stream(registry, "e", 40)
        first = await replies.receive()
        await registry.unload("e", unload_dependents=True)
        assert ready(registry) == []
        assert registry.record("many").versions[1].status.state == "UNLOADING"

        assert len(await rest(replies)) == 39
        assert first.answer is not None
        await registry.close()
        assert reason(registry, "many") == "unloaded"
