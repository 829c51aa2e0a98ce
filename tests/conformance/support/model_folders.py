"""Writes small models for tests: identity models, and the sample repository's own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "STRING", "BF16"),
)


def tensors(kind: str, name: str, data_type: str, dims: Sequence[int], more: str = "") -> str:
    """Return one ``input`` or ``output`` entry of a model config."""
    return f'{kind} [{{ name: "{name}" data_type: TYPE_{data_type} dims: {list(dims)} {more} }}]\n'


def identity_config(
    name: str,
    data_type: str = "FP32",
    dims: Sequence[int] = (-1,),
    *,
    batch: int = 8,
    delay_ms: int = 0,
    more: str = "",
    output: str = "",
) -> str:
    """
    Return the config of an identity model.

    Args:
        name: The model's name.
        data_type: The config's data type without ``TYPE_``.
        dims: The dims of INPUT0 and OUTPUT0.
        batch: ``max_batch_size``.
        delay_ms: How long one execution takes.
        more: More fields of the config.
        output: More fields of OUTPUT0.
    """
    delay = f'parameters {{ key: "execute_delay_ms" value {{ string_value: "{delay_ms}" }} }}\n'
    return (
        f'name: "{name}"\nbackend: "identity"\nmax_batch_size: {batch}\n'
        + tensors("input", "INPUT0", data_type, dims)
        + tensors("output", "OUTPUT0", data_type, dims, output)
        + (delay if delay_ms else "")
        + more
    )


def write_model(repository: Path, name: str, config: str, *, version: str = "1") -> Path:
    """Write a model without a model file; return its folder."""
    folder = repository / name
    (folder / version).mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(config)
    return folder


def write_identity(repository: Path, name: str, data_type: str = "FP32", **fields: object) -> Path:
    """Write an identity model; the arguments are those of :func:`identity_config`."""
    return write_model(repository, name, identity_config(name, data_type, **fields))


def write_protocol_models(repository: Path) -> None:
    """Write the models the protocol tests need beyond the samples."""
    for data_type in TYPES:
        write_identity(repository, f"id_{data_type.lower()}", data_type)
    write_identity(repository, "slow", delay_ms=1000)
    write_identity(repository, "one_string", "STRING", dims=[1])
    write_identity(repository, "two_wildcards", dims=[-1, -1], batch=0)
    folder = write_identity(
        repository, "vector", dims=[4], batch=0, output='label_filename: "labels.txt"'
    )
    (folder / "labels.txt").write_text("zero\none\ntwo\n")


def write_samples(repository: Path, *names: str) -> int:
    """Write sample models (all when none are named); return the command's exit code."""
    only = ["--only", *names] if names else []
    command = [sys.executable, "-m", "inferd", "samples", str(repository), *only]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in (0, 3):
        raise AssertionError(f"exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode
