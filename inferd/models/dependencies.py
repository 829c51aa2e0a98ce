"""
Which models are composed of which others: cycles, and the order of loading and unloading.

A graph of names only; whether a model is loaded, it does not know.
"""

from collections.abc import Iterable

from inferd._generated.inference import ModelConfig


def composing_models(config: ModelConfig) -> tuple[str, ...]:
    """Return the models an ensemble is composed of, each once; none for any other model."""
    scheduling = config.ensemble_scheduling
    return tuple(dict.fromkeys(step.model_name for step in scheduling.step)) if scheduling else ()


class Dependencies:
    """The ensembles that are known and what each is composed of."""

    def __init__(self) -> None:
        self._needs: dict[str, tuple[str, ...]] = {}

    def set(self, name: str, needs: tuple[str, ...]) -> None:
        """Note what a model is composed of; nothing, for a model that is no ensemble."""
        if needs:
            self._needs[name] = needs
        else:
            self._needs.pop(name, None)

    def composing(self, name: str) -> list[str]:
        """Return all a model is composed of, directly or not, in an order to load them."""
        return [one for one in self._below([name]) if one != name]

    def dependents(self, name: str) -> list[str]:
        """Return the ensembles that need a model, directly or not, in an order to load them."""
        found = {name}
        while True:
            more = {one for one, needs in self._needs.items() if not found.isdisjoint(needs)}
            if more <= found:
                return self.load_order(found - {name})
            found |= more

    def load_order(self, names: Iterable[str]) -> list[str]:
        """Return the names, each after those it is composed of."""
        wanted = set(names)
        return [one for one in self._below(sorted(wanted)) if one in wanted]

    def unload_order(self, names: Iterable[str]) -> list[str]:
        """Return the names, each before those it is composed of."""
        return self.load_order(names)[::-1]

    def cycle_through(self, name: str) -> str | None:
        """Return a model that ``name`` is composed of and that needs ``name`` itself, if any."""
        return next((one for one in self._below([name]) if name in self._needs.get(one, ())), None)

    def _below(self, names: Iterable[str]) -> list[str]:
        """Return the names and all they are composed of, each after its own."""
        order: list[str] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name not in seen:
                seen.add(name)
                for need in self._needs.get(name, ()):
                    visit(need)
                order.append(name)

        for name in names:
            visit(name)
        return order
