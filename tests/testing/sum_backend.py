"""A backend for the conformance suite that keeps every promise."""

import json

from inferd.backend import API_VERSION, Backend, BackendError, Instance, Model, ModelConfig


class FakeInstance(Instance):
    """Adds and subtracts."""

    def __init__(self, model) -> None:
        self.model = model

    def execute(self, batch):
        """Return the sum and the difference."""
        left, right = batch.inputs["INPUT0"], batch.inputs["INPUT1"]
        if left.shape != (batch.size, 16):
            raise BackendError(f"unexpected shape {left.shape}")
        results = {"OUTPUT0": left + right, "OUTPUT1": left - right}
        return [results[name] for name in batch.output_names]


class FakeModel(Model):
    """Makes instances."""

    instance = FakeInstance

    def create_instance(self, placement):
        """Make one."""
        return self.instance(self)


class FakeBackend(Backend):
    """Reads models that are the JSON form of their config."""

    API_VERSION = API_VERSION
    default_filename = "model.fake"
    model = FakeModel

    def complete_config(self, context):
        """Take inputs, outputs and batching from the file."""
        if not context.config.input:
            known = self.read(context)
            context.config.input = known.input
            context.config.output = known.output
            context.config.max_batch_size = known.max_batch_size
        return context.config

    def load(self, context):
        """Read the file and make a model."""
        self.read(context)
        return self.model()

    def read(self, context) -> ModelConfig:
        """Return the config in the model file."""
        try:
            return ModelConfig.from_json(context.model_path.read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise BackendError(f"cannot read {context.model_path.name}: {error}") from error
