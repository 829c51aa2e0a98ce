"""Tests of the check of dynamic batching."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_batching import check_dynamic_batching

DELAY = "{ timeout_action: DELAY default_timeout_microseconds: 1 }"


def _check(text: str) -> None:
    config = model_config.parse_text(f"dynamic_batching {{ {text} }}", "config.pbtxt")
    assert config.dynamic_batching is not None
    check_dynamic_batching(config.dynamic_batching, 8, "m")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "preferred_batch_size: [ 1, 8 ]",
        "default_priority_level: 9",
        "priority_levels: 2 default_priority_level: 1",
        "priority_levels: 2 default_priority_level: 2",
        "priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 1 } "
        "priority_queue_policy { key: 2 }",
        "priority_queue_policy { key: 7 }",
        "preserve_ordering: true priority_levels: 1 default_priority_level: 1",
        f"default_queue_policy {DELAY}",
        "preserve_ordering: true default_queue_policy { timeout_action: DELAY }",
        "preserve_ordering: true default_queue_policy { default_timeout_microseconds: 1 }",
    ],
)
def test_sound_batching_is_accepted(text: str) -> None:
    """Dynamic batching Triton accepts is not refused, boundaries included."""
    _check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preferred_batch_size: 0", "dynamic batching preferred size must be positive for m"),
        ("preferred_batch_size: -1", "dynamic batching preferred size must be positive for m"),
        (
            "preferred_batch_size: [ 8, 9 ]",
            "dynamic batching preferred size must be <= max batch size for m",
        ),
        ("priority_levels: 2", "default priority level must be in range [1, 2] for m"),
        (
            "priority_levels: 2 default_priority_level: 3",
            "default priority level must be in range [1, 2] for m",
        ),
        (
            "priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 0 }",
            "priority queue policy must have priority level in range [1, 2] for m",
        ),
        (
            "priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 3 }",
            "priority queue policy must have priority level in range [1, 2] for m",
        ),
        (
            "preserve_ordering: true priority_levels: 2 default_priority_level: 1",
            "Only one priority level is allowed when 'preserve_ordering' is true for m",
        ),
        (
            f"preserve_ordering: true default_queue_policy {DELAY}",
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true "
            "for m",
        ),
        (
            f"preserve_ordering: true priority_queue_policy {{ key: 1 value {DELAY} }}",
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true "
            "for m",
        ),
    ],
)
def test_broken_batching_is_named(text: str, message: str) -> None:
    """What is wrong with dynamic batching is said in Triton's words."""
    with pytest.raises(LoadFailed) as caught:
        _check(text)
    assert caught.value.message == message
