"""Where the instances of a config run."""

from inferd._generated.inference import ModelConfig, ModelInstanceGroup, ModelInstanceGroupKind
from inferd.models.placements import placed_groups, placements

KIND = ModelInstanceGroupKind
CONFIG = ModelConfig(
    instance_group=[
        ModelInstanceGroup(name="c", kind=KIND.CPU, count=2),
        ModelInstanceGroup(name="g", kind=KIND.GPU, count=2, gpus=[0, 3]),
        ModelInstanceGroup(name="p", kind=KIND.CPU, count=1, passive=True),
        ModelInstanceGroup(name="d", kind=KIND.CPU, count=1),
        ModelInstanceGroup(name="m", kind=KIND.MODEL, count=1),
    ]
)


def test_instances_are_placed_per_group_and_device():
    """As many as counted on each GPU, in the config's order; passive groups have none."""
    found = [(place.name, place.kind, place.device_id) for place in placements(CONFIG)]

    assert found == [
        ("c_0", KIND.CPU, 0),
        ("c_1", KIND.CPU, 0),
        ("g_0", KIND.GPU, 0),
        ("g_1", KIND.GPU, 0),
        ("g_2", KIND.GPU, 3),
        ("g_3", KIND.GPU, 3),
        ("d_0", KIND.CPU, 0),
        ("m_0", KIND.MODEL, 0),
    ]


def test_each_placement_is_of_its_group():
    """What a group says holds for its instances."""
    assert [group.name for group, _ in placed_groups(CONFIG)] == [*"ccggggdm"]
