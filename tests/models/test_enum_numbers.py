"""Tests of the search for enum numbers the schema lacks."""

import pytest

from inferd.models import model_config

KINDS = "KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ('name: "m" max_batch_size: 4 parameters { key: "a" value { string_value: "b" } }', ""),
        ('metric_tags { key: "a" value: "b" }', ""),
        ("instance_group { kind: 2 gpus: [ 5, 6 ] } dynamic_batching { }", ""),
        (
            "instance_group { kind: 3 } instance_group { kind: 4 }",
            f"'instance_group[1].kind' has no value 4, it is one of {KINDS}",
        ),
        (
            "instance_group { kind: -1 } instance_group { kind: 4 }",
            f"'instance_group[0].kind' has no value -1, it is one of {KINDS}",
        ),
        (
            "dynamic_batching { priority_queue_policy { key: 3 value { timeout_action: 2 } } }",
            "'dynamic_batching.priority_queue_policy[3].timeout_action' has no value 2, "
            "it is one of REJECT, DELAY",
        ),
    ],
)
def test_an_unknown_number_is_named_with_its_place(text: str, problem: str) -> None:
    """Only numbers that no name stands for are a problem, at any depth."""
    assert model_config.problem_of_enums(model_config.parse_text(text, "c")) == problem
