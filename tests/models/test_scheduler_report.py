"""Which scheduler a config has."""

import pytest

from inferd.models.model_config import parse_text
from inferd.models.scheduler_report import kind_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "default"),
        ("max_batch_size: 4", "default"),
        ("dynamic_batching { }", "dynamic"),
        ("sequence_batching { }", "sequence_direct"),
        ("sequence_batching { direct { } }", "sequence_direct"),
        ("sequence_batching { oldest { } }", "sequence_oldest"),
        ("ensemble_scheduling { }", "ensemble"),
    ],
)
def test_the_config_names_the_scheduler(text, kind):
    """Sequences are pinned to slots unless the config says otherwise."""
    assert kind_of(parse_text(text, "config.pbtxt")) == kind
