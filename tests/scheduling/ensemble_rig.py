"""Step models that are driven by hand, and a decoupled ensemble made of them."""

import asyncio
from collections import deque

import numpy as np

from inferd._generated import inference as pb
from inferd.errors import InferdError, NotFound
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.ensemble import EnsemblePlan
from inferd.scheduling.ensemble_scheduler import EnsembleScheduler
from inferd.scheduling.holds import Holds
from inferd.scheduling.replies import Reply
from inferd.scheduling.statistics import ModelStatistics

END = Reply(None, final=True)


def spec(name):
    """Return one number."""
    return TensorSpec(name, "INT32", 4, (1,))


def tensor(name, value):
    """Return one number's tensor."""
    return Tensor(name, "INT32", (1,), array=np.array([value], "<i4"))


def value_of(request_or_response):
    """Return the sum of a request's inputs, or a response's output."""
    found = getattr(request_or_response, "inputs", None)
    tensors = request_or_response.outputs if found is None else found.values()
    return sum(int(one.array()[0]) for one in tensors)


async def turn(times=30):
    """Let everything that can go on do so."""
    for _ in range(times):
        await asyncio.sleep(0)


class Source:
    """Replies that a test puts in."""

    def __init__(self, request):
        self.request = request
        self.taken = self.closed = 0
        self._replies = deque()
        self._changed = asyncio.Event()

    def put(self, *replies):
        """Add replies: numbers are responses, an empty tuple is one without outputs."""
        for reply in replies:
            if isinstance(reply, int):
                reply = Reply(InferResponse("d", "1", [tensor("Y", reply)]), final=False)
            elif reply == ():
                reply = Reply(InferResponse("d", "1", []), final=False)
            elif isinstance(reply, InferdError):
                reply = Reply(reply, final=True)
            self._replies.append(reply)
        self._changed.set()

    async def receive(self):
        """Return the next reply."""
        while not self._replies:
            self._changed.clear()
            await self._changed.wait()
        self.taken += 1
        return self._replies.popleft()

    def close(self):
        """Count the calls."""
        self.closed += 1


class StepModel:
    """
    The model of a step.

    A decoupled one has a source per request, filled by ``script`` where there is one; any
    other adds one to the sum of its inputs, once the gate of that sum is open.
    """

    def __init__(self, name, inputs, decoupled):
        self.name = name
        self.decoupled = decoupled
        self.holds = Holds()
        self.signature = Signature(name, 0, [spec(one) for one in inputs], [spec("Y")])
        self.scheduler = self
        self.sources = []
        self.script = None
        self.gates = {}
        self.errors = {}
        self.answers = {}
        self.running = self.cancelled = self.most = 0

    def stream(self, request):
        """Begin a request of a decoupled model."""
        self.sources.append(Source(request))
        if self.script is not None:
            self.sources[-1].put(*self.script(value_of(request)))
        return self.sources[-1]

    async def infer(self, request):
        """Answer, fail or wait."""
        value = value_of(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if value in self.gates:
                await self.gates[value].wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if value in self.errors:
            raise self.errors[value]
        return InferResponse(self.name, "1", self.answers.get(value, [tensor("Y", value + 1)]))

    def hold(self, *values):
        """Make requests of these sums wait; return what lets each go on."""
        self.gates.update({value: asyncio.Event() for value in values})
        return [self.gates[value].set for value in values]


ALONE = (("d", {"X": "I"}, {"Y": "O"}),)
CHAIN = (("d", {"X": "I"}, {"Y": "t"}), ("b", {"X": "t"}, {"Y": "O"}))
TWO = (*CHAIN[:1], ("d2", {"X": "t"}, {"Y": "O"}))


class Rig:
    """An ensemble; models whose name begins with d are decoupled."""

    def __init__(self, steps=CHAIN, max_in_flight=0, name="e"):
        self.models = {
            model: StepModel(model, tuple(reads), model[0] == "d") for model, reads, _ in steps
        }
        self.statistics = ModelStatistics()
        made = [
            pb.ModelEnsemblingStep(
                model_name=model, model_version=-1, input_map=reads, output_map=writes
            )
            for model, reads, writes in steps
        ]
        config = pb.ModelConfig(
            ensemble_scheduling=pb.ModelEnsembling(step=made, max_inflight_requests=max_in_flight)
        )
        self.signature = Signature(name, 0, [spec("I")], [spec("O")])
        self.scheduler = EnsembleScheduler(
            EnsemblePlan.from_config(config, self.signature), 7, self.find, self.statistics
        )

    def find(self, name, version):
        """Look a model up."""
        if name not in self.models:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        return self.models[name]

    def ask(self, value=1):
        """Send a request; return its replies."""
        return self.scheduler.stream(InferRequest("e", {"I": tensor("I", value)}, id="x"))

    async def asked(self, value=1):
        """Send a request; return its replies and the source of its decoupled step ``d``."""
        replies = self.ask(value)
        await turn()
        return replies, self.models["d"].sources[-1]

    def nest(self, model, inner):
        """Make another rig's ensemble the model of a step."""
        step = self.models[model]
        step.signature, step.scheduler, step.decoupled = inner.signature, inner.scheduler, True

    def at_rest(self):
        """Whether no trace of a request is left."""
        return (
            self.scheduler.inflight == 0
            and not any(self.scheduler.in_steps)
            and not any(model.holds.count or model.running for model in self.models.values())
            and all(one.closed for model in self.models.values() for one in model.sources)
        )


async def collect(replies):
    """Return the values of all responses, and the error if one ends them."""
    values = []
    async with asyncio.timeout(10):
        while True:
            answer, final = await replies.receive()
            if isinstance(answer, InferResponse):
                assert not final
                values.append(value_of(answer))
            elif final:
                return values, answer
