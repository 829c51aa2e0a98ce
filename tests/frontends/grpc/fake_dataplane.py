"""A data plane that answers by the model's name, and replies that the test puts in."""

import asyncio
import contextlib

import numpy as np

from inferd._generated import inference as pb
from inferd.errors import BackendError, DecoupledModel, InvalidRequest, NotFound, QueueFull
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.replies import Reply

ERRORS = {
    "missing": NotFound("Request for unknown model: 'missing' is not found"),
    "busy": QueueFull("Exceeds maximum queue size"),
    "failing": BackendError("the backend says no"),
    "broken": ZeroDivisionError("secret detail"),
    "cancelling": asyncio.CancelledError(),
    "many": DecoupledModel("it can only be streamed"),
}
"""What requests to models of these names raise."""


class FakeReplies:
    """
    Replies to one request, put in by the test.

    Attributes:
        request: The request.
        taken: How many were taken.
        closed: Whether the frontend has closed them.
    """

    def __init__(self, request, changed):
        self.request = request
        self.taken = 0
        self.closed = False
        self._changed = changed
        self._replies = asyncio.Queue()

    def respond(self, value, *, final=False, size=1, **more):
        """Put a response in."""
        output = Tensor("OUT", "INT32", (size,), raw=np.full(size, value, np.int32).tobytes())
        response = InferResponse("many", "1", [output], id=self.request.id, parameters=more or None)
        self.put(response, final=final)

    def put(self, answer=None, *, final=True):
        """Put a reply in; without an answer it is the mere end."""
        self._replies.put_nowait(Reply(answer, final))

    async def receive(self):
        """Take the next one."""
        reply = await self._replies.get()
        self.taken += 1
        self._changed.set()
        return reply

    def close(self):
        """Note it."""
        self.closed = True
        self._changed.set()


class FakePending:
    """A queued request."""

    def __init__(self, future):
        self.future = future


class FakeDataPlane:
    """
    Answers by the model's name.

    ``many`` is decoupled: a request's replies are put into its ``sources`` entry.

    ``echo`` returns its inputs; ``held`` does too once :meth:`release` is called, and
    ``stubborn`` even when it is cancelled before; the rest raise.
    """

    def __init__(self):
        self.requests = []
        self.queue = []
        self.sources = {}
        self.refusal = None
        self.ready = True
        self.loads = []
        self.unloads = []
        self.cancelled = 0
        self.turns_ended = 0
        self.running = 0
        self.most_running = 0
        self._released = asyncio.Event()
        self._changed = asyncio.Event()

    def release(self):
        """Let the held requests be answered."""
        self._released.set()

    async def until(self, condition):
        """Wait until ``condition()`` holds; it is looked at whenever a request starts or ends."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def infer(self, request):
        """Answer one request."""
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self._changed.set()
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self._changed.set()

    def start(self, request, future):
        """Have every request but those to ``queued`` awaited."""
        if request.model_name != "queued":
            return None
        self.requests.append(request)
        pending = FakePending(future)
        self.queue.append((request, pending))
        self._changed.set()
        return self, pending

    def take_back(self, pending):
        """Forget a queued request."""
        self.cancelled += 1
        self.queue = [entry for entry in self.queue if entry[1] is not pending]
        pending.future.cancel()
        self._changed.set()

    def end_turn(self):
        """Note that what was queued is to be executed at once."""
        self.turns_ended += 1
        self._changed.set()

    def is_decoupled(self, name, version):
        """Only ``many`` is."""
        return name == "many"

    def stream(self, request):
        """Answer one request to ``many``."""
        if self.refusal is not None:
            raise self.refusal
        self.sources[request.id] = FakeReplies(request, self._changed)
        self._changed.set()
        return self.sources[request.id]

    async def source(self, id):
        """Return the source of a request once it has come."""
        await self.until(lambda: id in self.sources)
        return self.sources[id]

    async def _answer(self, request):
        name = request.model_name
        if name == "held":
            await self._released.wait()
        elif name == "stubborn":
            while not self._released.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self._released.wait()
        elif name in ERRORS:
            raise ERRORS[name]
        elif name == "odd":
            return InferResponse(name, "1", (), parameters={"size": 1 << 64})
        outputs = [
            Tensor(given.name, given.datatype, given.shape, raw=given.raw())
            for given in request.inputs.values()
        ]
        return InferResponse(name, "1", outputs, id=request.id)

    def is_live(self):
        """Always live."""
        return True

    def is_ready(self):
        """Ready unless told otherwise; an exception that is set is raised."""
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready

    def is_model_ready(self, name, version):
        """Only ``echo`` is ready."""
        if version == "abc":
            raise InvalidRequest("invalid model version specified 'abc'")
        return name == "echo"

    def server_metadata(self):
        """Name a server."""
        return pb.ServerMetadataResponse(name="inferd", version="1.2.3", extensions=["statistics"])

    def model_metadata(self, name, version):
        """Describe any model the same way."""
        shape = pb.ModelMetadataResponseTensorMetadata(name="IN", datatype="FP32", shape=[-1, 16])
        return pb.ModelMetadataResponse(name=name, versions=["1"], inputs=[shape])

    def model_config(self, name, version):
        """Return a config of that name."""
        return pb.ModelConfig(name=name, max_batch_size=8)

    def model_statistics(self, name, version):
        """Return one entry."""
        return [pb.ModelStatistics(name=name, version=version, inference_count=7)]

    def repository_index(self, ready_only):
        """Return one entry that tells what was asked for."""
        state = "READY" if ready_only else "UNAVAILABLE"
        return [pb.RepositoryIndexResponseModelIndex(name="echo", version="1", state=state)]

    async def load_model(self, name, *, config=None, files=None):
        """Remember what was loaded."""
        self.loads.append((name, config, files))

    async def unload_model(self, name, *, unload_dependents=False):
        """Remember what was unloaded."""
        self.unloads.append((name, unload_dependents))
