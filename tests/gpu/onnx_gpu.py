"""
Serves one ONNX model on the CPU and on the GPU, compares the answers and times both.

    python3 tests/gpu/onnx_gpu.py MODELS [FOLDER]

MODELS holds ``densenet_onnx`` as ``inferd samples`` writes it. Needs onnxruntime-gpu with CUDA
and cuDNN beside inferd and the ONNX plugin; writes FOLDER/onnx-gpu.md.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from inferd.testing.server import InMemoryServer

ROUNDS = 7
REQUESTS = 50
PLACES = {"cpu": "KIND_CPU", "gpu": "KIND_GPU"}


def main() -> int:
    """Run everything and return the exit code."""
    models = Path(sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "tests/benchmarks/results")
    with tempfile.TemporaryDirectory() as work:
        for name, kind in PLACES.items():
            write_model(models / "densenet_onnx", Path(work) / name, name, kind)
        table = asyncio.run(measure(Path(work)))
    print(table)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "onnx-gpu.md").write_text(table)
    return 0


def write_model(source: Path, target: Path, name: str, kind: str) -> None:
    """Copy the sample under another name, with one instance of a kind."""
    shutil.copytree(source, target)
    config = target / "config.pbtxt"
    text = config.read_text().replace('name: "densenet_onnx"', f'name: "{name}"', 1)
    config.write_text(f"{text}\ninstance_group {{ kind: {kind} count: 1 }}\n")


async def measure(repository: Path) -> str:
    """Return the table of both models; raises when their answers differ."""
    picture = np.random.default_rng(0).uniform(-1, 1, (3, 224, 224)).astype(np.float32)
    rows, answers = [], {}
    async with InMemoryServer(repository) as server:
        for name in PLACES:
            answers[name] = (await server.infer(name, {"data_0": picture}))["fc6_1"]
        for name in PLACES:
            alone = [await per_second(server, name, picture, 1) for _ in range(ROUNDS)]
            together = [await per_second(server, name, picture, 8) for _ in range(ROUNDS)]
            rows.append((name, statistics.median(alone), statistics.median(together)))
    difference = float(np.abs(answers["cpu"] - answers["gpu"]).max())
    np.testing.assert_allclose(answers["gpu"], answers["cpu"], atol=2e-2)
    assert answers["gpu"].argmax() == answers["cpu"].argmax()
    return render(rows, difference)


async def per_second(
    server: InMemoryServer, name: str, picture: np.ndarray, in_flight: int
) -> float:
    """Return answers per second with so many requests in flight."""
    started = time.perf_counter()
    for _ in range(REQUESTS // in_flight):
        await asyncio.gather(*(server.infer(name, {"data_0": picture}) for _ in range(in_flight)))
    return REQUESTS // in_flight * in_flight / (time.perf_counter() - started)


def render(rows: list[tuple[str, float, float]], difference: float) -> str:
    """Return the Markdown."""
    lines = [
        "# ONNX on a GPU",
        "",
        f"ONNX Runtime {onnxruntime.__version__}; densenet_onnx (EfficientNet-Lite0), one",
        "instance, through the in-memory server: scheduling included, no network, one request",
        f"per execution. Largest difference between the answers: {difference:.2g}.",
        f"Medians of {ROUNDS} rounds.",
        "",
        "| instance | 1 in flight, /s | 8 in flight, /s |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {name} | {alone:,.0f} | {together:,.0f} |" for name, alone, together in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
