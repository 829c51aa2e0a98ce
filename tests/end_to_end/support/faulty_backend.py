"""
A backend whose models fail in the way their ``fault`` parameter says.

Every model answers as many times as its ``after`` parameter says before it fails.
"""

import sys
import threading

from inferd.backend import API_VERSION, Backend, Instance, Model


class FaultyBackend(Backend):
    """Makes models that fail."""

    API_VERSION = API_VERSION

    def complete_config(self, context):
        """Return the config, or raise what no backend should."""
        if context.parameter("fault") == "completes_wrongly":
            raise ZeroDivisionError("a secret")
        return context.config

    def load(self, context):
        """Return a model, leave, or do neither."""
        if context.parameter("fault") == "exits_at_load":
            sys.exit(3)
        if context.parameter("fault") == "blocks_at_load":
            threading.Event().wait()
        return FaultyModel(context.parameter("fault"), int(context.parameter("after", "0")))


class FaultyModel(Model):
    """One version of a model that fails."""

    def __init__(self, fault, after):
        self._fault = fault
        self._after = after

    def create_instance(self, placement):
        """Return an instance that fails."""
        return FaultyInstance(self._fault, self._after)

    def close(self):
        """Free the model, or leave."""
        if self._fault == "exits_at_unload":
            sys.exit(3)


class FaultyInstance(Instance):
    """One instance of a model that fails."""

    def __init__(self, fault, after):
        self._fault = fault
        self._left = after

    def execute(self, batch):
        """Answer with the input as long as there are answers left, then fail."""
        if self._left:
            self._left -= 1
        elif self._fault == "raises":
            raise ValueError("a secret")
        elif self._fault == "wrong_count":
            return []
        elif self._fault == "wrong_rows":
            return [batch.inputs["INPUT0"][:0]]
        elif self._fault == "exits":
            sys.exit(3)
        elif self._fault == "blocks":
            threading.Event().wait()
        return [batch.inputs["INPUT0"].copy()]
