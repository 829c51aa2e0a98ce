"""
Which decoupled steps of an ensemble each tensor comes from.

A tensor made behind a decoupled step exists once per response. Tensors of one response go
together; those of responses of different steps do not, so no step may need both, and the
decoupled steps of an ensemble are one behind the other.
"""

from collections.abc import Collection, Iterable, Sequence

from inferd._generated.inference import ModelEnsemblingStep
from inferd.errors import LoadFailed

Origin = tuple[int, ...]
"""The decoupled steps before a tensor, from first to last, by their places in the config."""


class Origins:
    """
    The origins of an ensemble's tensors.

    Args:
        ensemble: The ensemble's name, for messages.
        decoupled: The places of the decoupled steps.
    """

    __slots__ = ("_decoupled", "_ensemble", "_found")

    def __init__(self, ensemble: str, decoupled: Collection[int]) -> None:
        self._ensemble = ensemble
        self._decoupled = decoupled
        self._found: dict[str, Origin] = {}

    def follow(self, steps: Sequence[ModelEnsemblingStep], inputs: Iterable[str]) -> None:
        """
        Find the origin of every tensor.

        Args:
            steps: The steps of a validated ensemble.
            inputs: The ensemble's inputs.

        Raises:
            LoadFailed: A step needs tensors that do not go together; the text is Triton's.
        """
        self._found.update(dict.fromkeys(inputs, ()))
        waiting = dict(enumerate(steps))
        while waiting:
            ready = [index for index, step in waiting.items() if self._knows(step)]
            if not ready:
                return
            for index in ready:
                self._pass(index, waiting.pop(index))

    def check_together(self) -> None:
        """
        Check that every decoupled step is behind the one before it.

        Raises:
            LoadFailed: There are two of which neither needs the responses of the other.
        """
        if self._longest(self._found) is None:
            raise LoadFailed(
                f"in ensemble {self._ensemble}, there are decoupled models of which neither "
                "receives what originated from the other"
            )

    def _knows(self, step: ModelEnsemblingStep) -> bool:
        return all(tensor in self._found for tensor in step.input_map.values())

    def _pass(self, index: int, step: ModelEnsemblingStep) -> None:
        origin = self._longest(step.input_map.values())
        if origin is None:
            raise LoadFailed(
                f"in ensemble {self._ensemble}, step of model '{step.model_name}' receives inputs "
                "originated from different decoupled models"
            )
        if index in self._decoupled:
            origin = (*origin, index)
        self._found.update(dict.fromkeys(step.output_map.values(), origin))

    def _longest(self, tensors: Iterable[str]) -> Origin | None:
        """Return the origin that has the others as beginnings, or ``None``."""
        origins = {self._found.get(tensor, ()) for tensor in tensors}
        longest = max(origins, key=len, default=())
        return longest if all(longest[: len(one)] == one for one in origins) else None
