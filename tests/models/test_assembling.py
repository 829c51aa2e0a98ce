"""Which assembler a model gets."""

import numpy as np
import pytest

from inferd.models import model_config
from inferd.models.assembling import assembler_of
from inferd.protocol.messages import InferRequest
from inferd.protocol.signature import Signature
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.statistics import ModelStatistics

CONFIG = """
name: "m" max_batch_size: 4
input { name: "X" data_type: TYPE_FP32 dims: -1 %s }
output { name: "Y" data_type: TYPE_FP32 dims: -1 }
"""
PADDED = 'parameters { key: "inferd_collate" value { string_value: "pad" } }'
COUNTED = 'batch_input { target_name: "N" data_type: TYPE_INT32 source_input: "X" }'


def made(rest="", ragged="", statistics=None):
    """Return the assembler of a config."""
    config = model_config.parse_text(CONFIG % ragged + rest, "config.pbtxt")
    return assembler_of(config, Signature.from_config(config), 1, statistics)


def requests(*lengths):
    """Return requests of one row of these lengths."""
    return [
        InferRequest("m", {"X": Tensor("X", "FP32", (1, n), array=np.ones((1, n), np.float32))})
        for n in lengths
    ]


def test_a_model_without_any_of_this_pays_nothing():
    """It has the ordinary assembler, and no counters of padding."""
    statistics = ModelStatistics()

    assert type(made(statistics=statistics)) is Assembler
    assert statistics.padding is None


@pytest.mark.parametrize(
    ("rest", "ragged", "shape"),
    [
        ("", "allow_ragged_batch: true", (3,)),
        (PADDED, "", (2, 2)),
        (PADDED + COUNTED, "", (2, 2)),
    ],
)
def test_requests_of_different_lengths_share_a_batch(rest, ragged, shape):
    """Flat or padded, as the config says."""
    assembler = made(rest, ragged)
    one, other = requests(1, 2)
    batch = assembler.gather([one, other])

    assert assembler.shape_key(one) == assembler.shape_key(other)
    assert batch.inputs["X"].shape == shape
    assert ("N" in batch.inputs) is (COUNTED in rest)


def test_a_model_with_batch_inputs_alone_gets_them():
    """Whatever its other inputs are."""
    assert made(COUNTED).gather(requests(2, 2)).inputs["N"].tolist() == [2, 2]


def test_an_output_can_be_split_by_an_input():
    """Without batch inputs, too."""
    assembler = made('batch_output { target_name: "Y" source_input: "X" }')
    batch = assembler.gather(requests(2, 2))

    assert len(assembler.scatter(batch, [np.zeros(4, np.float32)])) == 2


def test_padding_is_counted_in_the_statistics():
    """Where the metrics read it."""
    statistics = ModelStatistics()
    made(PADDED, statistics=statistics).gather(requests(1, 3))

    assert statistics.padding is not None
    assert (statistics.padding.elements, statistics.padding.padded_elements) == (6, 2)
