"""Configs with a warm-up sample, and an instance that keeps what it was warmed up with."""

from inferd.backend import Instance
from inferd.models import warmup
from inferd.models.model_config import parse_text

CONFIG = """
name: "m"
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_%(type)s dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_%(type)s dims: [ -1 ] }
model_warmup {
  name: "sample" batch_size: %(batch)d count: %(count)d
  inputs { key: "INPUT0" value { data_type: TYPE_%(type)s dims: [ 3 ] %(data)s } }
}
"""

SEQUENCES = """
sequence_batching {
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [0, 1] } }
  control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] } }
  control_input { name: "ID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_%s } }
}
"""


def text(data="zero_data: true", datatype="INT32", batch=1, count=0):
    """Return a config with one sample of three elements."""
    return CONFIG % {"data": data, "type": datatype, "batch": batch, "count": count}


class Recorder(Instance):
    """
    Answers with its input and keeps what it got.

    Attributes:
        batches: The sizes and inputs of its executions.
        error: Raised instead, when set.
    """

    def __init__(self, error=None):
        self.batches = []
        self.error = error

    def execute(self, batch):
        """Keep the batch."""
        self.batches.append((batch.size, dict(batch.inputs)))
        if self.error is not None:
            raise self.error
        return [batch.inputs["INPUT0"]]


def execute(config, tmp_path, instance=None):
    """Warm up one instance and return it."""
    instance = instance or Recorder()
    warmup.run(parse_text(config, "m"), 1, tmp_path, [("m_0", instance)])
    return instance
