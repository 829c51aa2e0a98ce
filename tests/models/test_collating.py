"""The parameters that say how requests are padded into one batch."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.collating import check_collation, read_collation
from inferd.protocol.signature import Signature
from inferd.scheduling.collation import Cut

ONE = """
input { name: "IN" data_type: TYPE_INT32 dims: [ -1, 4, -1 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ -1, 8 ] }
output { name: "FIXED" data_type: TYPE_INT32 dims: 2 }
"""
TWO = """
input { name: "a:b" data_type: TYPE_STRING dims: -1 }
input { name: "B" data_type: TYPE_FP32 dims: [ 3, -1 ] }
input { name: "R" data_type: TYPE_FP32 dims: -1 allow_ragged_batch: true }
output { name: "OUT" data_type: TYPE_FP32 dims: -1 }
"""


def config(tensors=ONE, batch=4, rest="", **parameters):
    """Return a config; parameters are named without ``inferd_``."""
    text = "".join(
        f'parameters {{ key: "inferd_{key}" value {{ string_value: "{value}" }} }}'
        for key, value in parameters.items()
    )
    return model_config.parse_text(f'name: "m" max_batch_size: {batch} {tensors} {text} {rest}', "")


def read(*args, **parameters):
    """Return what the parameters say."""
    made = config(*args, **parameters)
    return read_collation(made, Signature.from_config(made))


def two(**parameters):
    """Return what they say for a model with two variable inputs."""
    return read(TWO, collate="pad", **{"collate_outputs": "", **parameters})


class TestInputs:
    """What is padded."""

    def test_nothing_unless_asked_for(self):
        """Models without the parameters are batched as in Triton."""
        assert read() is None

    def test_every_variable_axis_by_default(self):
        """Numbered from 1 behind the batch dimension; with zeros, to the longest."""
        (padded,) = read(collate="pad").inputs.values()

        assert (padded.axes, padded.buckets, padded.pad) == ((1, 3), (), 0)

    def test_ragged_inputs_are_not_padded(self):
        """They need it least."""
        assert {name: one.axes for name, one in two().inputs.items()} == {"a:b": (1,), "B": (2,)}

    def test_stated_axes(self):
        """A number without a name belongs to the input before it; order does not matter."""
        assert read(collate="pad", collate_axes="IN: 3, 1").inputs["IN"].axes == (1, 3)
        assert read(collate="pad", collate_axes="IN:1").inputs["IN"].axes == (1,)
        assert list(two(collate_axes="B:2,a:b:1").inputs) == ["a:b", "B"]

    def test_buckets(self):
        """They ascend."""
        padded = read(collate="bucket", collate_buckets="4, 8,16").inputs["IN"]

        assert padded.buckets == (4, 8, 16)

    @pytest.mark.parametrize(
        ("value", "pads"),
        [
            ("7", [b"7", 7]),
            ("B:-1", [b"", -1]),
            ("a:b:x:y,B:0.5", [b"x:y", 0.5]),
            ("", [b"", 0]),
        ],
    )
    def test_pad_values(self, value, pads):
        """One for all inputs, or by input; names and texts may have colons."""
        assert [one.pad for one in two(collate_pad_value=value).inputs.values()] == pads


class TestOutputs:
    """What is cut."""

    def test_the_axis_of_the_same_number_by_default(self):
        """Of the only padded input; fixed axes are not cut."""
        assert read(collate="pad").cuts == {"OUT": [Cut(1, "IN", 1)]}

    def test_stated_axes(self):
        """Only those."""
        assert read(collate="pad", collate_outputs="OUT:1=IN:3").cuts == {"OUT": [Cut(1, "IN", 3)]}
        assert two(collate_outputs="OUT:1=a:b:1").cuts == {"OUT": [Cut(1, "a:b", 1)]}

    def test_nothing_when_empty(self):
        """For outputs whose variable axes follow no input."""
        assert read(collate="pad", collate_outputs="").cuts == {}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"collate_axis": "IN:1"},
            "'inferd_collate_axis' 'IN:1': it must be one of inferd_collate,",
        ),
        (
            {"collate_axes": "IN:1"},
            "'inferd_collate_axes' 'IN:1': it has no effect without 'inferd",
        ),
        ({"collate": "pads"}, "'inferd_collate' 'pads': it must be 'pad' or 'bucket' for m"),
        ({"collate": "bucket"}, "'inferd_collate' 'bucket': it requires 'inferd_collate_buckets'"),
        (
            {"collate": "pad", "collate_buckets": "4"},
            "'inferd_collate_buckets' '4': it has no effect with 'inferd_collate' 'pad'",
        ),
        *(
            ({"collate": "bucket", "collate_buckets": buckets}, reason)
            for buckets, reason in (
                ("8,4", "the lengths must be 1 or more and ascend"),
                ("4,4", "the lengths must be 1 or more and ascend"),
                ("0,4", "the lengths must be 1 or more and ascend"),
                ("4,x", "'x' is no whole number"),
                ("", "'' is no whole number"),
            )
        ),
        *(
            ({"collate": "pad", "collate_axes": axes}, reason)
            for axes, reason in (
                ("Q:1", "the model has no input 'Q'"),
                ("1", "expected 'INPUT:AXIS', got '1'"),
                ("IN:x", "'x' is no whole number"),
                ("IN:0", "axis 0 of input 'IN' is the batch dimension"),
                ("IN:2", "axis 2 of input 'IN' is fixed at 4"),
                ("IN:4", "input 'IN' has the axes 0 to 3"),
                ("IN:-1", "input 'IN' has the axes 0 to 3"),
                ("IN:1,1", "axis 1 of input 'IN' is named twice"),
            )
        ),
        *(
            ({"collate": "pad", "collate_pad_value": value}, reason)
            for value, reason in (
                ("0.5", "'0.5' is no INT32 for input 'IN'"),
                ("Q:1", "'Q:1' is no INT32 for input 'IN'"),
                ("IN:1,Q:1", "'Q:1' names no input that is padded"),
            )
        ),
        *(
            ({"collate": "pad", "collate_outputs": outputs}, reason)
            for outputs, reason in (
                ("Q:1=IN:1", "the model has no output 'Q'"),
                ("OUT:1", "expected 'OUTPUT:AXIS=INPUT:AXIS', got ''"),
                ("OUT=IN:1", "expected 'OUTPUT:AXIS=INPUT:AXIS', got 'OUT'"),
                ("OUT:0=IN:1", "axis 0 of output 'OUT' is the batch dimension"),
                ("OUT:2=IN:1", "axis 2 of output 'OUT' is fixed at 8"),
                ("OUT:1=IN:2", "axis 2 of input 'IN' is not padded"),
                ("OUT:1=Q:1", "axis 1 of input 'Q' is not padded"),
                ("OUT:1=IN:1,OUT:1=IN:3", "axis 1 of output 'OUT' is named twice"),
            )
        ),
        (
            {"collate": "pad", "collate_axes": "IN:3"},
            "'inferd_collate_outputs': axis 1 of output 'OUT' is variable-size, so say which",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_at_load(parameters, message):
    """With the parameter, its value, the reason and the model."""
    with pytest.raises(LoadFailed) as caught:
        check_collation(config(**parameters))

    assert message in caught.value.message
    assert caught.value.message.startswith("parameter 'inferd_collate")
    assert caught.value.message.endswith(" for m")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (config(batch=0, collate="pad"), "it requires 'max_batch_size' to be 1 or more"),
        (
            config(rest="ensemble_scheduling { }", collate="pad"),
            "it must be specified for the models of an ensemble",
        ),
        (
            config('input { name: "X" data_type: TYPE_FP32 dims: 1 }', collate="pad"),
            "no input has a variable-size dimension that is not ragged",
        ),
        (config(TWO, collate="pad", collate_axes="R:1"), "input 'R' is ragged"),
        (config(TWO, collate="pad"), "axis 1 of output 'OUT' is variable-size, so say which"),
    ],
)
def test_models_that_cannot_be_padded_are_refused(made, message):
    """So that nobody believes they are; with several padded inputs the outputs must be stated."""
    with pytest.raises(LoadFailed, match=message):
        check_collation(made)


def test_a_sound_config_is_accepted():
    """Other parameters are none of this module's business."""
    check_collation(config(collate="pad"))
    check_collation(config(other="x"))
