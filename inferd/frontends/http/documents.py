"""
The JSON of metadata, statistics and the repository index, member for member as Triton orders it.

Pure: generated protocol messages in, dictionaries out.
"""

from typing import Any, Final

from inferd._generated.inference import (
    InferBatchStatistics,
    InferResponseStatistics,
    InferStatistics,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
    ModelStatistics,
    RepositoryIndexResponseModelIndex,
    ServerMetadataResponse,
    StatisticDuration,
)

_INFER_DURATIONS: Final = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
_RESPONSE_DURATIONS: Final = (
    "compute_infer",
    "compute_output",
    "success",
    "fail",
    "empty_response",
    "cancel",
)
_BATCH_DURATIONS: Final = ("compute_input", "compute_infer", "compute_output")


def server_metadata(metadata: ServerMetadataResponse) -> dict[str, Any]:
    """Return the body of ``GET /v2``."""
    return {
        "name": metadata.name,
        "version": metadata.version,
        "extensions": metadata.extensions,
    }


def model_metadata(metadata: ModelMetadataResponse) -> dict[str, Any]:
    """Return the body of ``GET /v2/models/<name>``."""
    return {
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": metadata.platform,
        "inputs": [_tensor(tensor) for tensor in metadata.inputs],
        "outputs": [_tensor(tensor) for tensor in metadata.outputs],
    }


def _tensor(tensor: ModelMetadataResponseTensorMetadata) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def index(models: list[RepositoryIndexResponseModelIndex]) -> list[dict[str, str]]:
    """Return the body of the repository index; what a model does not have is left out."""
    return [
        {
            key: value
            for key in ("name", "version", "state", "reason")
            if (value := getattr(model, key))
        }
        for model in models
    ]


def statistics(models: list[ModelStatistics]) -> dict[str, Any]:
    """Return the body of the statistics endpoints."""
    return {"model_stats": [_model_statistics(model) for model in models]}


def _model_statistics(model: ModelStatistics) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": model.last_inference,
        "inference_count": model.inference_count,
        "execution_count": model.execution_count,
        "inference_stats": _durations(model.inference_stats, _INFER_DURATIONS),
        "response_stats": {
            key: _durations(value, _RESPONSE_DURATIONS)
            for key, value in model.response_stats.items()
        },
        "batch_stats": [
            {"batch_size": batch.batch_size, **_durations(batch, _BATCH_DURATIONS)}
            for batch in model.batch_stats
        ],
        "memory_usage": [
            {"type": usage.type, "id": usage.id, "byte_size": usage.byte_size}
            for usage in model.memory_usage
        ],
    }


def _durations(
    owner: InferStatistics | InferResponseStatistics | InferBatchStatistics | None,
    names: tuple[str, ...],
) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name in names:
        duration: StatisticDuration | None = getattr(owner, name, None)
        found[name] = {
            "count": duration.count if duration is not None else 0,
            "ns": duration.ns if duration is not None else 0,
        }
    return found
