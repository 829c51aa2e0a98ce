"""
Times every kernel in every set and writes a Markdown table; bounded to about a minute.

    python tests/gpu/kernel_bench.py [FOLDER]

Each figure is the median of blocks of calls, after warm-up; every result is compared with
the reference before it is timed. CUDA is timed twice: as called with host arrays, copies
included, and on the device alone, from events around back-to-back launches.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inferd_kernels
import numpy as np
from inferd_kernels import KernelSet, Scaling, reference
from inferd_kernels.contract import divisor_and_offsets, stacked_taps

SETS = ("numpy", "numba", "cuda")
BLOCKS = 7
BLOCK_SECONDS = 0.04
RANDOM = np.random.default_rng(11)


@dataclass
class Case:
    """
    One kernel at one size.

    Attributes:
        title: What is timed.
        items: Images or rows of one call.
        size: Bytes the kernel must read and write.
        call: Runs it with host arrays and returns the result.
        on_device: Given a launcher and the slots, uploads and returns a launch.
    """

    title: str
    items: int
    size: int
    call: Callable[[KernelSet], np.ndarray]
    on_device: Callable[[Any, Callable[[], Any]], Callable[[], None]]
    seconds: dict[str, float] = field(default_factory=dict)


def images_of(count: int, height: int, width: int) -> np.ndarray:
    """Return random RGB images."""
    return RANDOM.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def scale_case(layout: str, count: int) -> Case:
    """Scale 224x224 images to ``chw`` or ``hwc``."""
    images = images_of(count, 224, 224)
    shape = (count, 3, 224, 224) if layout == "chw" else images.shape
    out = np.empty(shape, np.float32)
    divisor, offsets = divisor_and_offsets(Scaling.INCEPTION, 3)

    def call(kernels: KernelSet) -> np.ndarray:
        getattr(kernels, f"scale_to_{layout}")(images, out, Scaling.INCEPTION)
        return out

    def on_device(launcher: Any, slot: Callable[[], Any]) -> Callable[[], None]:
        source, constants = slot().upload(images), slot().upload(offsets)
        target = slot().room(out.nbytes)
        launch = getattr(launcher, f"scale_{layout}")
        return lambda: launch(source, divisor, constants, target, images.shape)

    size = images.nbytes + out.nbytes
    return Case(f"scale_to_{layout} 224x224x3", count, size, call, on_device)


def resize_case(count: int) -> Case:
    """Resize photographs of 400x300 to what a classifier takes."""
    images = images_of(count, 300, 400)
    size = count * 224 * 224 * 3

    def on_device(launcher: Any, slot: Callable[[], Any]) -> Callable[[], None]:
        source = slot().upload(images)
        down = slot().upload(stacked_taps(300, 224, 1))
        across = slot().upload(stacked_taps(400, 224, 3))
        target = slot().room(size)
        return lambda: launcher.resize(source, down, across, target, images.shape, (224, 224))

    return Case(
        "resize_bilinear 400x300x3 to 224x224x3",
        count,
        images.nbytes + size,
        lambda kernels: kernels.resize_bilinear(images, (224, 224)),
        on_device,
    )


def top_k_case(count: int) -> Case:
    """Find the three best of a thousand classes."""
    values = RANDOM.standard_normal((count, 1000)).astype(np.float32)

    def on_device(launcher: Any, slot: Callable[[], Any]) -> Callable[[], None]:
        source, keys = slot().upload(values), slot().room(values.size * 8)
        indices = slot().room(count * 3 * 8)
        return lambda: launcher.top_k(source, keys, indices, values, 3)

    return Case(
        "top_k 3 of 1000 float32",
        count,
        values.nbytes,
        lambda kernels: kernels.top_k(values, 3)[1],
        on_device,
    )


def gather_case(count: int) -> Case:
    """Gather single images into one batch; the same NumPy code in every set."""
    parts = [images_of(1, 224, 224) for _ in range(count)]
    out = np.empty((count, 224, 224, 3), np.uint8)
    return Case(
        "gather_rows 224x224x3 uint8",
        count,
        2 * out.nbytes,
        lambda kernels: kernels.gather_rows(parts, out),
        lambda *_: lambda: None,
    )


def cases() -> list[Case]:
    """Every kernel, alone and in batches."""
    chw = [scale_case("chw", count) for count in (1, 32, 256)]
    hwc = [scale_case("hwc", count) for count in (1, 32)]
    resized = [resize_case(count) for count in (1, 32)]
    ranked = [top_k_case(count) for count in (1, 32, 1024)]
    return [*chw, *hwc, *resized, *ranked, gather_case(32)]


def median_seconds(call: Callable[[], object]) -> float:
    """Time a call: the median over blocks of calls long enough for the clock."""
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    calls = max(1, min(2000, int(BLOCK_SECONDS / once)))
    blocks = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        blocks.append((time.perf_counter() - start) / calls)
    return statistics.median(blocks)


def device_seconds(launcher: Any, launch: Callable[[], None], launches: int = 50) -> float:
    """Time a launch by the GPU's own clock: the median over blocks of launches."""
    from cuda.bindings import driver

    first, last = driver.cuEventCreate(0)[1], driver.cuEventCreate(0)[1]
    launch()
    launcher.wait()
    blocks = []
    for _ in range(BLOCKS):
        driver.cuEventRecord(first, launcher.stream.handle)
        for _ in range(launches):
            launch()
        driver.cuEventRecord(last, launcher.stream.handle)
        launcher.wait()
        blocks.append(driver.cuEventElapsedTime(first, last)[1] / 1000 / launches)
    return statistics.median(blocks)


def time_set(name: str, kernels: KernelSet, all_cases: list[Case]) -> None:
    """Check and time every case with host arrays."""
    for case in all_cases:
        expected = case.call(reference.kernel_set()).copy()
        if not np.array_equal(case.call(kernels), expected):
            sys.exit(f"{name}: {case.title} x {case.items} differs from the reference")
        case.seconds[name] = median_seconds(lambda case=case: case.call(kernels))


def time_device(all_cases: list[Case]) -> str:
    """Time every case on the GPU alone, and return the GPU's name."""
    from inferd_kernels.cuda.launcher import Launcher
    from inferd_kernels.cuda.staging import Slot

    launcher = Launcher(0)
    for case in all_cases:
        if case.title.startswith("gather"):
            continue
        slots: list[Slot] = []

        def slot(slots: list[Slot] = slots) -> Slot:
            slots.append(Slot(launcher.stream))
            return slots[-1]

        case.seconds["device"] = device_seconds(launcher, case.on_device(launcher, slot))
    return launcher.device_name


def rate(case: Case, name: str) -> str:
    """Return items per second, or nothing where it was not timed."""
    return f"{case.items / case.seconds[name]:,.0f}" if name in case.seconds else ""


def bandwidth(case: Case, name: str) -> str:
    """Return gigabytes per second, read and written."""
    return f"{case.size / case.seconds[name] / 1e9:,.1f}" if name in case.seconds else ""


def table(all_cases: list[Case]) -> str:
    """Return the figures as Markdown."""
    columns = ["numpy", "numba", "cuda", "device"]
    titles = ["numpy", "numba", "cuda with copies", "cuda on the device"]
    heads = [f"{title} {unit}" for title in titles for unit in ("/s", "GB/s")]
    lines = [
        "| kernel | batch | " + " | ".join(heads) + " |",
        "| --- " * (len(heads) + 2) + "|",
    ]
    for case in all_cases:
        cells = [text for name in columns for text in (rate(case, name), bandwidth(case, name))]
        lines.append(f"| {case.title} | {case.items} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main(folder: Path) -> None:
    """Time what this machine can run, and print and write the table."""
    all_cases = cases()
    gpu = ""
    for name in SETS:
        try:
            kernels = inferd_kernels.select(name)
            start = time.perf_counter()
            inferd_kernels.warm(kernels)
        except (ImportError, RuntimeError) as error:
            print(f"no {name} kernels: {error}")
            continue
        print(f"{name}: warm after {time.perf_counter() - start:.1f} s")
        time_set(name, kernels, all_cases)
        if name == "cuda":
            gpu = time_device(all_cases)
    text = (
        "# Kernels\n\n"
        f"GPU: {gpu or 'none'}. Processor: {processor()}, {os.cpu_count()} cores, one used. "
        f"Python {platform.python_version()}, NumPy {np.__version__}.\n\n"
        "Images or rows per second, and GB/s read and written; medians of "
        f"{BLOCKS} blocks. On the device: back-to-back launches, no copies. "
        "`gather_rows` is NumPy in every set.\n\n"
        f"{table(all_cases)}\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / ("kernels-gpu.md" if gpu else "kernels-cpu.md")
    target.write_text(text)
    print(text, target, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/benchmarks/results"))
