"""
Reads from a config's parameters how requests of different shapes are padded into one batch.

The parameters are inferd's own; Triton does not know them:

* ``inferd_collate``: ``pad`` (to the longest of the batch) or ``bucket`` (to the next of
  ``inferd_collate_buckets``; only requests of one bucket share a batch).
* ``inferd_collate_axes``: ``INPUT0:1,INPUT1:1,2``, numbered as in the shape a client sends,
  0 being the batch dimension. Left out, it is every axis whose dim is -1.
* ``inferd_collate_pad_value``: one for all inputs, or ``INPUT0:0,INPUT1:-1``.
* ``inferd_collate_buckets``: ``32,64,128``.
* ``inferd_collate_outputs``: ``OUTPUT0:1=INPUT0:1``, the output axes that are as long as an
  input axis and are cut back with it. Left out, output axes follow the axes of the same
  number, where one input is padded; empty, nothing is cut.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NoReturn

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models.pad_values import pad_value
from inferd.protocol.signature import Signature, TensorSpec
from inferd.scheduling.collation import CollatedInput, Collation, Cut

_MODE: Final = "inferd_collate"
_AXES: Final = "inferd_collate_axes"
_PAD_VALUE: Final = "inferd_collate_pad_value"
_BUCKETS: Final = "inferd_collate_buckets"
_OUTPUTS: Final = "inferd_collate_outputs"
_ALL: Final = (_MODE, _AXES, _PAD_VALUE, _BUCKETS, _OUTPUTS)

Axes = dict[str, tuple[int, ...]]


def check_collation(config: ModelConfig) -> None:
    """
    Check the parameters of a config whose inputs and outputs are valid.

    Raises:
        LoadFailed: One is wrong; the message names it, its value and the reason.
    """
    if any(name.startswith(_MODE) for name in config.parameters):
        if config.ensemble_scheduling is not None:
            raise LoadFailed(
                f"parameter '{_MODE}': it must be specified for the models of an ensemble "
                f"for {config.name}"
            )
        read_collation(config, Signature.from_config(config))


def read_collation(config: ModelConfig, signature: Signature) -> Collation | None:
    """
    Return how the model's requests are padded, or ``None`` when they are not.

    Raises:
        LoadFailed: As :func:`check_collation`.
    """
    given = {
        name: parameter.string_value
        for name, parameter in config.parameters.items()
        if name.startswith(_MODE)
    }
    return _Reader(given, signature).read() if given else None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the parameters of one model."""

    given: Mapping[str, str]
    signature: Signature

    def read(self) -> Collation:
        buckets = self._mode_buckets()
        axes = self._axes()
        pads = self._pads(list(axes))
        return Collation(
            {
                name: CollatedInput(
                    axes[name], pad_value(self.signature.inputs[name].datatype, pads[name]), buckets
                )
                for name in axes
            },
            self._cuts(axes),
        )

    def _mode_buckets(self) -> tuple[int, ...]:
        """Return the buckets; none for the mode without them."""
        for name in sorted(self.given):
            if name not in _ALL:
                self._refuse(name, f"it must be one of {', '.join(_ALL)}")
            if _MODE not in self.given:
                self._refuse(name, f"it has no effect without '{_MODE}'")
        if not self.signature.batches:
            self._refuse(_MODE, "it requires 'max_batch_size' to be 1 or more")
        mode = self.given[_MODE]
        if mode not in ("pad", "bucket"):
            self._refuse(_MODE, "it must be 'pad' or 'bucket'")
        if mode == "bucket":
            return self._buckets()
        if _BUCKETS in self.given:
            self._refuse(_BUCKETS, f"it has no effect with '{_MODE}' 'pad'")
        return ()

    def _buckets(self) -> tuple[int, ...]:
        if _BUCKETS not in self.given:
            self._refuse(_MODE, f"it requires '{_BUCKETS}'")
        buckets = tuple(self._number(_BUCKETS, text) for text in self.given[_BUCKETS].split(","))
        if buckets[0] < 1 or any(a >= b for a, b in pairwise(buckets)):
            self._refuse(_BUCKETS, "the lengths must be 1 or more and ascend")
        return buckets

    def _axes(self) -> Axes:
        """Return input name -> its padded axes, ascending; inputs in the config's order."""
        inputs = self.signature.inputs
        if _AXES not in self.given:
            found = {spec.name: _variable(spec) for spec in inputs.values() if not spec.ragged}
            found = {name: axes for name, axes in found.items() if axes}
            if not found:
                self._refuse(_MODE, "no input has a variable-size dimension that is not ragged")
            return found
        stated: dict[str, list[int]] = {}
        for name, axis in self._stated_axes():
            spec = inputs.get(name)
            if spec is None:
                self._refuse(_AXES, f"the model has no input '{name}'")
            if spec.ragged:
                self._refuse(_AXES, f"input '{name}' is ragged")
            self._check_axis(_AXES, "input", spec, axis)
            if axis in stated.setdefault(name, []):
                self._refuse(_AXES, f"axis {axis} of input '{name}' is named twice")
            stated[name].append(axis)
        return {name: tuple(sorted(stated[name])) for name in inputs if name in stated}

    def _stated_axes(self) -> Iterator[tuple[str, int]]:
        """Yield (input, axis); a number without a name belongs to the input before it."""
        name = ""
        for part in self.given[_AXES].split(","):
            named, colon, axis = part.strip().rpartition(":")
            if colon:
                name = named
            if not name:
                self._refuse(_AXES, f"expected 'INPUT:AXIS', got '{part.strip()}'")
            yield name, self._number(_AXES, axis)

    def _check_axis(self, parameter: str, kind: str, spec: TensorSpec, axis: int) -> None:
        """Check that a tensor has the axis and that it is variable."""
        rank = len(spec.dims) + 1
        if axis == 0:
            self._refuse(parameter, f"axis 0 of {kind} '{spec.name}' is the batch dimension")
        if not 0 < axis < rank:
            self._refuse(parameter, f"{kind} '{spec.name}' has the axes 0 to {rank - 1}")
        if spec.dims[axis - 1] != -1:
            self._refuse(
                parameter,
                f"axis {axis} of {kind} '{spec.name}' is fixed at {spec.dims[axis - 1]}",
            )

    def _pads(self, names: list[str]) -> dict[str, str]:
        """Return input name -> the text of its pad value, checked; empty is the default."""
        pads = dict.fromkeys(names, "")
        text = self.given.get(_PAD_VALUE, "")
        named = [self._named(part) for part in text.split(",")]
        if not named[0][0]:
            pads = dict.fromkeys(names, text)
        for name, value in named if named[0][0] else ():
            if name not in pads:
                self._refuse(_PAD_VALUE, f"'{name or value}' names no input that is padded")
            pads[name] = value
        for name, value in pads.items():
            datatype = self.signature.inputs[name].datatype
            try:
                pad_value(datatype, value)
            except ValueError:
                self._refuse(_PAD_VALUE, f"'{value}' is no {datatype} for input '{name}'")
        return pads

    def _named(self, part: str) -> tuple[str, str]:
        """Return (input, value) of ``INPUT:VALUE``; input names may contain colons, too."""
        part = part.strip()
        found = [name for name in self.signature.inputs if part.startswith(f"{name}:")]
        name = max(found, key=len, default="")
        return name, part[len(name) + 1 :] if name else part

    def _cuts(self, axes: Axes) -> dict[str, list[Cut]]:
        """Return output name -> its axes that are cut."""
        if _OUTPUTS not in self.given:
            return self._default_cuts(axes)
        cuts: dict[str, list[Cut]] = {}
        for part in filter(None, self.given[_OUTPUTS].split(",")):
            target, equals, source = part.strip().partition("=")
            (output, axis), (name, source_axis) = self._place(target), self._place(source)
            spec = self.signature.outputs.get(output)
            if not equals or spec is None:
                self._refuse(_OUTPUTS, f"the model has no output '{output}'")
            self._check_axis(_OUTPUTS, "output", spec, axis)
            if source_axis not in axes.get(name, ()):
                self._refuse(_OUTPUTS, f"axis {source_axis} of input '{name}' is not padded")
            if any(cut.axis == axis for cut in cuts.setdefault(output, [])):
                self._refuse(_OUTPUTS, f"axis {axis} of output '{output}' is named twice")
            cuts[output].append(Cut(axis, name, source_axis))
        return cuts

    def _default_cuts(self, axes: Axes) -> dict[str, list[Cut]]:
        """Cut what follows the only padded input; refuse what may or may not follow one."""
        cuts: dict[str, list[Cut]] = {}
        for spec in self.signature.outputs.values():
            for axis in _variable(spec):
                name, *others = axes
                if others or axis not in axes[name]:
                    self._refuse(
                        _OUTPUTS,
                        f"axis {axis} of output '{spec.name}' is variable-size, so say which input "
                        "axis it is as long as (empty when none is cut)",
                    )
                cuts.setdefault(spec.name, []).append(Cut(axis, name, axis))
        return cuts

    def _place(self, text: str) -> tuple[str, int]:
        name, colon, axis = text.strip().rpartition(":")
        if not colon:
            self._refuse(_OUTPUTS, f"expected 'OUTPUT:AXIS=INPUT:AXIS', got '{text.strip()}'")
        return name, self._number(_OUTPUTS, axis)

    def _number(self, parameter: str, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            self._refuse(parameter, f"'{text.strip()}' is no whole number")

    def _refuse(self, parameter: str, reason: str) -> NoReturn:
        value = self.given.get(parameter)
        shown = "" if value is None else f" '{value}'"
        raise LoadFailed(
            f"parameter '{parameter}'{shown}: {reason} for {self.signature.model_name}"
        )


def _variable(spec: TensorSpec) -> tuple[int, ...]:
    """Return the axes whose dim is -1; axis 0 is the batch dimension."""
    return tuple(axis for axis, dim in enumerate(spec.dims, start=1) if dim == -1)
