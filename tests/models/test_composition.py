"""Ensembles against the models they are composed of; the texts are the reference's."""

import pytest

from inferd._generated import inference as pb
from inferd.errors import LoadFailed
from inferd.models.composition import (
    Composing,
    check_composition,
    circular_error,
    is_composed_decoupled,
)

INT32, FP32 = pb.DataType.TYPE_INT32, pb.DataType.TYPE_FP32


def tensors(kind, **named):
    """Return inputs or outputs of ``name=dims`` or ``name=(datatype, dims)``."""
    made = []
    for name, value in named.items():
        datatype, dims = value if isinstance(value, tuple) else (INT32, value)
        made.append(kind(name=name, data_type=datatype, dims=dims))
    return made


def model(batch=4, inputs=None, outputs=None, **more):
    """Return a model's config; one vector X in, one Y out."""
    return pb.ModelConfig(
        max_batch_size=batch,
        input=tensors(pb.ModelInput, **(inputs or {"X": [16]})),
        output=tensors(pb.ModelOutput, **(outputs or {"Y": [16]})),
        **more,
    )


def step(name="m1", reads=None, writes=None, version=-1):
    """Return a step."""
    return pb.ModelEnsemblingStep(
        model_name=name,
        model_version=version,
        input_map=reads or {"X": "I"},
        output_map=writes or {"Y": "O"},
    )


def ensemble(*steps, batch=4, **more):
    """Return an ensemble's config; one vector I in, one O out."""
    config = model(batch, more.get("inputs", {"I": [16]}), more.get("outputs", {"O": [16]}))
    config.name = "e"
    config.ensemble_scheduling = pb.ModelEnsembling(step=list(steps))
    return config


TWO = (step("m1", writes={"Y": "t"}), step("m2", reads={"X": "t"}))


def check(config, **models):
    """Check against models given by config, ``Composing`` or ``None``."""
    known = {
        name: Composing({1: one}) if isinstance(one, pb.ModelConfig) else one
        for name, one in models.items()
    }
    check_composition(config, known.get)


def refuse(text, config, **models):
    """Check that it is refused with exactly this text."""
    with pytest.raises(LoadFailed) as caught:
        check(config, **models)
    assert caught.value.message == text


def test_models_that_agree_pass():
    """So does a model that is no ensemble."""
    check(ensemble(*TWO), m1=model(), m2=model())
    check(model())


@pytest.mark.parametrize("batch", [0, 4, 5])
def test_models_may_batch_more_or_not_at_all(batch):
    """A batch size of 0 has no limit to compare."""
    check(ensemble(*TWO), m1=model(batch), m2=model())


def test_a_model_that_batches_less():
    """One less than the ensemble is too few."""
    refuse(
        "ensemble e allows maximum batch size 4, but it contains model m1 which only allows "
        "maximum batch size to be 3",
        ensemble(*TWO),
        m1=model(3),
        m2=model(),
    )


def test_models_that_are_nowhere():
    """All of them are named."""
    text = "ensemble e contains models that are not available or ambiguous: "
    refuse(text + "m2", ensemble(*TWO), m1=model(), m2=None)
    refuse(text + "m1, m2", ensemble(*TWO))


def test_models_that_do_not_serve():
    """With the reason of the failure, where there is one."""
    text = "ensemble 'e' depends on 'm1' which has no loaded version"
    refuse(text, ensemble(*TWO), m1=Composing({}), m2=model())
    refuse(
        text + ". Model 'm1' loading failed with error: Internal: no",
        ensemble(*TWO),
        m1=Composing({}, "Internal: no"),
        m2=model(),
    )


def test_a_step_that_names_a_version():
    """It must serve, and it is its config that counts; without one it is the newest's."""
    serving = Composing({1: model(), 2: model(3)})
    check(ensemble(step(version=1)), m1=serving)
    refuse(
        "ensemble 'e' depends on 'm1' whose required version 3 is not loaded",
        ensemble(step(version=3)),
        m1=serving,
    )
    with pytest.raises(LoadFailed, match="maximum batch size to be 3"):
        check(ensemble(step()), m1=serving)


def test_datatypes_that_differ():
    """Between two models, and between a model and the ensemble."""
    text = (
        "in ensemble e, ensemble tensor {}: inconsistent data type: TYPE_{} is inferred from "
        "model {} while TYPE_{} is inferred from model {}"
    )
    floats = model(inputs={"X": (FP32, [16])})
    refuse(text.format("t", "INT32", "m1", "FP32", "m2"), ensemble(*TWO), m1=model(), m2=floats)
    refuse(text.format("I", "INT32", "e", "FP32", "m1"), ensemble(*TWO), m1=floats, m2=model())


def test_shapes_that_differ():
    """The batch dimension is shown."""
    refuse(
        "in ensemble e, ensemble tensor t: inconsistent shape: [-1,16] is inferred from model m1 "
        "while [-1,16,16,16] is inferred from model m2",
        ensemble(*TWO),
        m1=model(),
        m2=model(inputs={"X": [16, 16, 16]}),
    )
    refuse(
        "in ensemble e, ensemble tensor O: inconsistent shape: [-1,16] is inferred from model e "
        "while [-1,15] is inferred from model m2",
        ensemble(*TWO),
        m1=model(),
        m2=model(outputs={"Y": [15]}),
    )


@pytest.mark.parametrize("dims", [[16], [-1], [-1, 16], [1, 16]])
def test_a_model_that_does_not_batch_may_have_the_batch_among_its_dims(dims):
    """Shapes agree with or without the batch dimension; -1 agrees with anything."""
    check(ensemble(*TWO), m1=model(), m2=model(0, inputs={"X": dims}))


def test_the_reshape_of_an_ensemble_is_what_its_steps_see():
    """That of a model is its own affair: the ensemble sees what clients would."""
    config = ensemble(step(), inputs={"I": [4, 4]}, outputs={"O": [2, 8]})
    for one in (config.input[0], config.output[0]):
        one.reshape = pb.ModelTensorReshape(shape=[16])
    inner = model()
    inner.input[0].reshape = pb.ModelTensorReshape(shape=[8, 2])
    check(config, m1=inner)


def test_names_the_model_does_not_have():
    """The tensor is named."""
    refuse(
        "in ensemble e, ensemble tensor I is mapping to non-existing input Z in model m1",
        ensemble(step(reads={"X": "I", "Z": "I"})),
        m1=model(),
    )
    refuse(
        "in ensemble e, ensemble tensor O is mapped from non-existing output Z in model m1",
        ensemble(step(writes={"Z": "O"})),
        m1=model(),
    )


def test_an_input_that_gets_nothing():
    """Unless it is optional."""
    two = model(inputs={"X": [16], "W": [16]})
    refuse(
        "in ensemble e, input W in model m1 is not mapped to any ensemble tensors",
        ensemble(step()),
        m1=two,
    )
    two.input[1].optional = True
    check(ensemble(step()), m1=two)


def test_a_decoupled_step():
    """It may answer any number of times, and so does the ensemble."""
    decoupled = model(model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True))
    check(ensemble(step()), m1=decoupled)

    for versions, asked, expected in (
        ({1: decoupled}, -1, True),
        ({1: decoupled, 2: model()}, -1, False),
        ({1: decoupled, 2: model()}, 1, True),
        ({1: model(), 2: decoupled}, -1, True),
    ):
        known = {"m1": Composing(versions)}
        assert is_composed_decoupled(ensemble(step(version=asked)), known.get) is expected


def test_a_model_is_no_ensemble_of_decoupled_models():
    """It has no steps."""
    assert not is_composed_decoupled(model(), {}.get)


def test_decoupled_steps_that_do_not_go_together():
    """A step behind both is named; outputs of both are refused, too."""
    decoupled = model(model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True))
    both = model(inputs={"X": [16], "Z": [16]})
    two = (step("m1", writes={"Y": "a"}), step("m2", writes={"Y": "b"}))
    refuse(
        "in ensemble e, step of model 'm3' receives inputs originated from different decoupled "
        "models",
        ensemble(*two, step("m3", reads={"X": "a", "Z": "b"})),
        m1=decoupled,
        m2=decoupled,
        m3=both,
    )
    refuse(
        "in ensemble e, there are decoupled models of which neither receives what originated "
        "from the other",
        ensemble(step("m1"), two[1], outputs={"O": [16], "b": [16]}),
        m1=decoupled,
        m2=decoupled,
    )


def test_an_ensemble_that_needs_itself():
    """The last model before the circle closes is named."""
    text = "circular dependency between ensembles: a -> ... -> b -> a"
    assert circular_error("a", "b").message == text
