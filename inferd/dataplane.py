"""
The Open Inference Protocol as methods on plain objects; both frontends call it.

It knows no transport: no status codes, headers or encodings. Metadata and statistics
are the generated protocol messages, used as plain objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from inferd_kernels import KernelSet, reference
from inferd_kernels.contract import TopKKernel

from inferd._generated.inference import (
    ModelConfig,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
    ModelStatistics,
    RepositoryIndexResponseModelIndex,
    ServerMetadataResponse,
)
from inferd.errors import DecoupledModel, InvalidRequest, NotFound, Unavailable
from inferd.models.loaded import LoadedVersion
from inferd.models.model_config import copy
from inferd.models.records import ModelRecord
from inferd.models.registry import ModelRegistry
from inferd.models.scheduler_report import SchedulerReport, report
from inferd.models.statistics import to_message
from inferd.models.validation import validate_model_name
from inferd.protocol.classification import classify
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature, TensorSpec
from inferd.repository.catalog import Catalog
from inferd.scheduling.pending import AnswerFuture, Pending
from inferd.scheduling.replies import MappedReplies, OneReply, ReplySource
from inferd.scheduling.scheduler import Scheduler

EXTENSIONS = (
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
)
"""The protocol extensions this server speaks, in Triton's order."""

_AMBIGUOUS = "model appears in two or more repositories"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    What the server says of itself.

    Attributes:
        name: The server's name, ``--id``.
        version: The server's version.
    """

    name: str
    version: str


class DataPlane:
    """
    Everything a client can ask.

    Args:
        registry: The models.
        catalog: The repositories, for models that were never loaded.
        identity: The server's name and version.
        explicit_control: Whether clients may load and unload models.
        strict_readiness: Whether the server is ready only when every model is.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        catalog: Catalog,
        identity: Identity,
        *,
        explicit_control: bool = False,
        strict_readiness: bool = True,
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._explicit_control = explicit_control
        self._strict_readiness = strict_readiness
        self._accepting = True
        self._top_k: TopKKernel = reference.top_k
        self._metadata = ServerMetadataResponse(
            name=identity.name, version=identity.version, extensions=list(EXTENSIONS)
        )

    def use_kernels(self, kernels: KernelSet) -> None:
        """Classify with these kernels from now on; they are compiled already."""
        self._top_k = kernels.top_k

    def stop_accepting(self) -> None:
        """Stop being ready; the server is about to shut down."""
        self._accepting = False

    def is_live(self) -> bool:
        """Whether the process answers at all."""
        return True

    def is_ready(self) -> bool:
        """Whether the server wants requests."""
        if not self._accepting:
            return False
        return not self._strict_readiness or self._registry.all_ready()

    def server_metadata(self) -> ServerMetadataResponse:
        """Return the server's name, version and extensions."""
        return self._metadata

    def is_model_ready(self, name: str, version: str) -> bool:
        """
        Whether a model would answer; ``False`` also for a model nobody knows.

        Raises:
            InvalidRequest: The version is not a positive integer.
        """
        try:
            self._registry.lookup(name, version)
        except (NotFound, Unavailable):
            return False
        return True

    def signature(self, name: str, version: str) -> Signature:
        """Return the inputs and outputs of what would answer; raises as :meth:`infer` does."""
        return self._registry.lookup(name, version).signature

    def model_metadata(self, name: str, version: str) -> ModelMetadataResponse:
        """
        Return a model's ready versions, platform, inputs and outputs.

        Raises:
            NotFound: There is no such model or version.
            ModelNotReady: The version does not serve.
        """
        loaded = self._registry.lookup(name, version)
        record = self._registry.record(loaded.name)
        assert record is not None
        ready = [loaded] if version else record.ready()
        signature = loaded.signature
        return ModelMetadataResponse(
            name=loaded.name,
            versions=[str(one.version) for one in ready],
            platform=loaded.config.platform or loaded.config.backend,
            inputs=[_metadata(signature, spec) for spec in signature.inputs.values()],
            outputs=[_metadata(signature, spec) for spec in signature.outputs.values()],
        )

    def model_config(self, name: str, version: str) -> ModelConfig:
        """Return a copy of a model's completed config; raises as :meth:`model_metadata` does."""
        return copy(self._registry.lookup(name, version).config)

    def model_statistics(self, name: str, version: str) -> list[ModelStatistics]:
        """
        Return what versions have done; an empty name means every model.

        Raises:
            InvalidRequest: The model or version does not serve.
        """
        if not name:
            return [
                to_message(one.name, one.version, one.statistics)
                for one in self._registry.serving()
            ]
        record = self._registry.record(name)
        ready = record.ready() if record is not None else []
        if not ready:
            raise InvalidRequest(f"requested model '{name}' is not available")
        chosen = [one for one in ready if version in ("", str(one.version))]
        if not chosen:
            raise InvalidRequest(f"requested model version is not available for model '{name}'")
        return [to_message(one.name, one.version, one.statistics) for one in chosen]

    def scheduler_report(self, name: str, version: str) -> SchedulerReport:
        """
        Return what a version's scheduler does now and did last.

        An empty version means the newest that serves; raises as :meth:`model_metadata` does.
        """
        return report(self._registry.lookup(name, version))

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer one request.

        Cancelling the caller takes the request back.

        Raises:
            NotFound: There is no such model or version.
            Unavailable: It does not serve now.
            DeadlineExceeded: It could not be answered before its deadline.
            InvalidRequest: The request does not match the model.
            BackendError: The execution failed.
            DecoupledModel: The model answers through :meth:`stream`.
        """
        loaded = self._registry.lookup(request.model_name, request.model_version)
        loaded.signature.check(request)
        if loaded.decoupled:
            raise DecoupledModel(
                f"model '{loaded.name}' is decoupled, its responses can only be streamed"
            )
        if request.timeout_us:
            _apply_timeout(loaded, request)
        response = await loaded.scheduler.infer(request)
        for output in request.outputs:
            if output.classification:
                return self._classified(loaded, request, response)
        return response

    def start(
        self, request: InferRequest, future: AnswerFuture
    ) -> tuple[Scheduler, Pending] | None:
        """
        Queue a request without a deadline that need not be awaited by :meth:`infer`.

        Args:
            request: The request.
            future: Gets what :meth:`infer` would return or raise.

        Returns:
            The scheduler and the queued request, or ``None`` when the request has to be
            awaited by :meth:`infer`. Raises as that does.
        """
        loaded = self._registry.lookup(request.model_name, request.model_version)
        scheduler = loaded.direct
        if scheduler is None:
            return None
        for output in request.outputs:
            if output.classification:
                return None
        loaded.signature.check(request)
        if request.timeout_us:
            _apply_timeout(loaded, request)
        return scheduler, scheduler.submit(request, future)

    def is_decoupled(self, name: str, version: str) -> bool:
        """Whether a model's requests have any number of responses; raises as :meth:`infer`."""
        return self._registry.lookup(name, version).decoupled

    def stream(self, request: InferRequest) -> ReplySource:
        """
        Answer one request of any model with its replies, one by one.

        A model that is not decoupled has one. Closing the source takes the request back.
        Errors that are known at once are raised as :meth:`infer` raises them, later ones are
        replies.
        """
        loaded = self._registry.lookup(request.model_name, request.model_version)
        if not loaded.decoupled:
            return OneReply(self.infer(request))
        loaded.signature.check(request)
        if request.timeout_us:
            _apply_timeout(loaded, request)
        replies = loaded.scheduler.stream(request)
        if not any(output.classification for output in request.outputs):
            return replies
        return MappedReplies(replies, partial(self._classified, loaded, request))

    def _classified(
        self, loaded: LoadedVersion, request: InferRequest, response: InferResponse
    ) -> InferResponse:
        """Return the response with the classes the request asked for instead of tensors."""
        counts = {output.name: output.classification for output in request.outputs}
        response.outputs = [
            classify(
                tensor,
                counts[tensor.name],
                loaded.labels.get(tensor.name, ()),
                batches=loaded.signature.batches,
                top_k=self._top_k,
            )
            if counts[tensor.name]
            else tensor
            for tensor in response.outputs
        ]
        return response

    def repository_index(self, ready_only: bool) -> list[RepositoryIndexResponseModelIndex]:
        """Return every model of the repositories with the state of its versions."""
        known = {record.name: record for record in self._registry.records()}
        names = sorted({*known, *self._catalog.names()})
        index: list[RepositoryIndexResponseModelIndex] = []
        for name in names:
            record = known.get(name)
            if record is None and self._catalog.is_ambiguous(name):
                entries: Sequence[RepositoryIndexResponseModelIndex] = [
                    _unavailable(name, _AMBIGUOUS)
                ]
            else:
                entries = _index_entries(name, record)
            index.extend(entry for entry in entries if not ready_only or entry.state == "READY")
        return index

    async def load_model(
        self,
        name: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """
        Load or reload a model.

        Args:
            name: The model's name.
            config: A config as JSON that replaces the repository's.
            files: File contents by relative path that replace the repository's files.

        Raises:
            Unavailable: The control mode is not explicit.
            InvalidRequest: The name or a path is not allowed, or files came without a config.
            PollFailed: There is nothing fit to load.
            LoadFailed: Loading failed, and why.
        """
        self._check_control(name)
        if files and config is None:
            raise InvalidRequest(
                "Load parameter 'config' must be specified for model file override"
            )
        await self._registry.load(name, config=config, files=files or None)

    async def unload_model(self, name: str, *, unload_dependents: bool = False) -> None:
        """
        Stop serving a model; returns before its last request is answered.

        Args:
            name: The model's name.
            unload_dependents: Whether the models an ensemble is composed of go, too.

        Raises:
            Unavailable: The control mode is not explicit.
        """
        self._check_control(name)
        await self._registry.unload(name, unload_dependents=unload_dependents)

    def _check_control(self, name: str) -> None:
        if not self._explicit_control:
            raise Unavailable("explicit model load / unload is not allowed if polling is enabled")
        validate_model_name(name)


def _apply_timeout(loaded: LoadedVersion, request: InferRequest) -> None:
    """Take a request's queue timeout for a deadline where the model's config says so."""
    if loaded.timeout_is_deadline:
        timeout_ns = request.received_ns + request.timeout_us * 1000
        request.deadline_ns = min(request.deadline_ns or timeout_ns, timeout_ns)


def _metadata(signature: Signature, spec: TensorSpec) -> ModelMetadataResponseTensorMetadata:
    return ModelMetadataResponseTensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=signature.full_shape(spec)
    )


def _unavailable(name: str, reason: str) -> RepositoryIndexResponseModelIndex:
    return RepositoryIndexResponseModelIndex(name=name, state="UNAVAILABLE", reason=reason)


def _index_entries(
    name: str, record: ModelRecord | None
) -> Sequence[RepositoryIndexResponseModelIndex]:
    if record is None or not (record.versions or record.failure):
        return [RepositoryIndexResponseModelIndex(name=name)]
    if record.failure:
        return [_unavailable(name, record.failure)]
    return [
        RepositoryIndexResponseModelIndex(
            name=name,
            version=str(version),
            state=found.status.state,
            reason=found.status.reason,
        )
        for version, found in sorted(record.versions.items())
    ]
