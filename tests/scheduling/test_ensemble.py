"""Which steps of an ensemble can start when, and with which tensors."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd._generated import inference as pb
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.ensemble import EnsemblePlan, EnsembleRun, fit_shape


def spec(name, dims=(2,), **more):
    """Return an INT32 tensor spec."""
    return TensorSpec(name, "INT32", 4, tuple(dims), **more)


def signature(inputs=("I",), outputs=("O",), batch=4, **more):
    """Return a signature with vectors of two."""
    return Signature(
        "e", batch, [spec(name, **more) for name in inputs], [spec(name) for name in outputs]
    )


def step(model, inputs, outputs, version=-1):
    """Return a config's step from ``model input=tensor`` mappings."""
    return pb.ModelEnsemblingStep(
        model_name=model, model_version=version, input_map=inputs, output_map=outputs
    )


def plan(*steps, **more):
    """Compile a plan."""
    scheduling = pb.ModelEnsembling(step=list(steps))
    return EnsemblePlan.from_config(
        pb.ModelConfig(ensemble_scheduling=scheduling), signature(**more)
    )


def request(value=1, rows=1, names=("I",), outputs=()):
    """Return a checked request."""
    array = np.full((rows, 2), value, "<i4")
    made = InferRequest(
        "e",
        {name: Tensor(name, "INT32", array.shape, array=array) for name in names},
        outputs=[RequestedOutput(name) for name in outputs],
    )
    made.batch_size = rows
    return made


def answer(name, value=1, shape=(1, 2)):
    """Return a step's output."""
    return Tensor(name, "INT32", shape, array=np.full(shape, value, "<i4"))


def diamond(**more):
    """A splits into b and c, which d joins."""
    return plan(
        step("a", {"X": "I"}, {"Y": "t"}),
        step("b", {"X": "t"}, {"Y": "left"}),
        step("c", {"X": "t"}, {"Y": "right"}),
        step("d", {"L": "left", "R": "right"}, {"Y": "O"}),
        **more,
    )


def names(steps):
    """Return the steps' models."""
    return [one.model_name for one in steps]


def test_steps_start_when_their_last_tensor_exists():
    """Branches start together, the join after both."""
    made = diamond()
    run = EnsembleRun(made, request())
    (a,) = run.start()
    b, c = run.complete(a, [answer("Y")], 1)

    assert names([a, b, c]) == ["a", "b", "c"]
    assert run.complete(c, [answer("Y", 3)], 1) == []
    (d,) = run.complete(b, [answer("Y", 2)], 1)
    inputs = run.take_inputs(d, signature(("L", "R")))
    assert {name: int(t.array()[0, 0]) for name, t in inputs.items()} == {"L": 2, "R": 3}
    assert run.complete(d, [answer("Y", 9)], 1) == []
    assert [(t.name, t.array().tolist()) for t in run.outputs()] == [("O", [[9, 9]])]


def test_a_plan_without_branches_is_a_chain():
    """It needs no tasks of its own."""
    chain = plan(step("a", {"X": "I"}, {"Y": "t"}), step("b", {"X": "t", "Z": "I"}, {"Y": "O"}))

    assert chain.is_chain
    assert not diamond().is_chain
    assert plan().is_chain
    assert EnsemblePlan.from_config(pb.ModelConfig(), signature()).is_chain


def test_tensors_pass_by_reference_and_read_only():
    """No step can change what another one reads."""
    made = plan(step("a", {"X": "I", "Z": "I"}, {"Y": "O"}))
    asked = request()
    run = EnsembleRun(made, asked)
    (a,) = run.start()
    inputs = run.take_inputs(a, signature(("X", "Z")))

    original = asked.inputs["I"].array()
    for name in ("X", "Z"):
        assert inputs[name].name == name
        assert np.shares_memory(inputs[name].array(), original)
        assert not inputs[name].array().flags.writeable
    assert original.flags.writeable


def test_what_nobody_needs_any_more_is_not_kept():
    """Intermediate tensors may be large; outputs stay."""
    made = plan(
        step("a", {"X": "I"}, {"Y": "t"}),
        step("b", {"X": "t", "Z": "t"}, {"Y": "u"}),
        step("c", {"X": "t", "Z": "u"}, {"Y": "O"}),
        outputs=("O", "u"),
    )
    run = EnsembleRun(made, request())
    (a,) = run.start()
    run.take_inputs(a, signature(("X",)))
    tensors = [Tensor(name, "INT32", (1, 2), array=np.ones((1, 2), "<i4")) for name in "YY"]
    alive = [weakref.ref(tensor.array()) for tensor in tensors]
    (b,) = run.complete(a, [tensors.pop(0)], 1)
    run.take_inputs(b, signature(("X", "Z")))
    (c,) = run.complete(b, [tensors.pop()], 1)
    assert [one() is None for one in alive] == [False, False]
    run.take_inputs(c, signature(("X", "Z")))

    assert [one() is None for one in alive] == [True, False]
    run.complete(c, [answer("Y")], 1)
    assert [tensor.name for tensor in run.outputs()] == ["O", "u"]


def test_the_version_of_a_step_is_passed_on():
    """Anything below 1 is the latest."""
    made = plan(
        step("a", {"X": "I"}, {"Y": "t"}, version=3),
        step("b", {"X": "t"}, {"Y": "O"}, version=0),
    )

    assert [one.model_version for one in made.steps] == ["3", ""]
    assert [output.name for output in made.steps[0].requested] == ["Y"]


def test_an_optional_input_that_was_left_out_is_left_out_of_the_steps():
    """The step starts without it."""
    made = plan(step("a", {"X": "I", "Z": "J"}, {"Y": "O"}), inputs=("I", "J"), optional=True)
    run = EnsembleRun(made, request())
    (a,) = run.start()

    assert list(run.take_inputs(a, signature(("X", "Z")))) == ["X"]


def test_an_input_the_model_does_not_know_keeps_its_shape():
    """The model's own check says what is wrong with it."""
    run = EnsembleRun(plan(step("a", {"W": "I"}, {"Y": "O"})), request())
    (a,) = run.start()

    assert run.take_inputs(a, signature(("X",)))["W"].shape == (1, 2)


def test_outputs_come_in_the_order_they_were_asked_for():
    """All steps run whatever is asked for."""
    made = plan(step("a", {"X": "I"}, {"P": "O", "Q": "O2"}), outputs=("O", "O2"))
    for asked, expected in (((), ["O", "O2"]), (("O2", "O"), ["O2", "O"]), (("O2",), ["O2"])):
        run = EnsembleRun(made, request(outputs=asked))
        (a,) = run.start()
        run.complete(a, [answer("P"), answer("Q"), answer("unasked")], 1)
        assert [tensor.name for tensor in run.outputs()] == expected


def test_an_output_no_step_made_is_an_error():
    """The text is the reference's; what is not asked for may be missing."""
    made = plan(step("a", {"X": "I"}, {"P": "O", "Q": "O2"}), outputs=("O", "O2"))
    run = EnsembleRun(made, request())
    (a,) = run.start()
    run.complete(a, [answer("P")], 1)

    with pytest.raises(InvalidRequest, match=r"^unexpected deadlock, at least one output is not"):
        run.outputs()


def test_an_optional_input_that_is_an_output_cannot_be_returned_when_left_out():
    """There is nothing to return."""
    made = plan(
        step("a", {"X": "I", "Z": "J"}, {"Y": "O"}),
        inputs=("I", "J"),
        outputs=("O", "J"),
        optional=True,
    )
    run = EnsembleRun(made, request(outputs=("J",)))
    run.start()

    with pytest.raises(InvalidRequest, match="unexpected deadlock"):
        run.outputs()


def test_a_tensor_is_made_once():
    """A step that writes an ensemble's input changes nothing and starts nothing twice."""
    made = plan(step("a", {"X": "I"}, {"Y": "I", "Z": "O"}))
    run = EnsembleRun(made, request(value=1))
    (a,) = run.start()

    assert run.complete(a, [answer("Y", 5), answer("Z")], 1) == []
    assert int(run.take_inputs(a, signature(("X",)))["X"].array()[0, 0]) == 1


class TestFork:
    """The way from each response of a decoupled step."""

    def joined(self):
        """A plan whose last step needs a response, the input and what a step beside it made."""
        return plan(
            step("d", {"X": "I"}, {"Y": "t"}),
            step("beside", {"X": "I"}, {"Y": "side"}),
            step("next", {"X": "t"}, {"Y": "u"}),
            step("last", {"L": "u", "M": "side", "N": "t"}, {"Y": "O"}),
        )

    def test_each_response_goes_its_own_way(self):
        """What one uses up is there for the other; the step beside ran once for both."""
        run = EnsembleRun(self.joined(), request())
        d, beside = run.start()
        for one in (d, beside):
            run.take_inputs(one, signature(("X",)))
        assert run.complete(beside, [answer("Y", 100)], 1) == []
        found = []
        ways = [run.fork(d, [answer("Y", value)], 1) for value in (1, 2)]
        for branch, ready in ways:
            assert names(ready) == ["next"]
            branch.take_inputs(ready[0], signature(("X",)))
        for (branch, (after,)), value in zip(ways, (10, 20), strict=True):
            (last,) = branch.complete(after, [answer("Y", value)], 1)
            inputs = branch.take_inputs(last, signature(("L", "M", "N")))
            assert branch.complete(last, [answer("Y", value)], 1) == []
            found.append([int(inputs[name].array()[0, 0]) for name in "LMN"])
            assert branch.outputs()[0].array()[0, 0] == value

        assert found == [[10, 100, 1], [20, 100, 2]]

    def test_what_a_response_made_is_freed_with_its_last_reader(self):
        """Not only when the request ends."""
        run = EnsembleRun(self.joined(), request())
        d, beside = run.start()
        run.complete(beside, [answer("Y")], 1)
        tensors = [answer("Y"), answer("Y")]
        alive = [weakref.ref(tensor.array()) for tensor in tensors]
        first, (after,) = run.fork(d, [tensors.pop(0)], 1)
        second, (other,) = run.fork(d, [tensors.pop(0)], 1)
        first.take_inputs(after, signature(("X",)))
        assert [one() is None for one in alive] == [False, False]
        (last,) = first.complete(after, [answer("Y")], 1)
        first.take_inputs(last, signature(("L", "M", "N")))

        assert [one() is None for one in alive] == [True, False]
        assert list(second.take_inputs(other, signature(("X",)))) == ["X"]

    def test_a_response_may_be_an_output_itself(self):
        """Then no step can start."""
        run = EnsembleRun(plan(step("d", {"X": "I"}, {"Y": "O"})), request())
        (d,) = run.start()
        branch, ready = run.fork(d, [answer("Y", 3)], 1)

        assert ready == []
        assert branch.outputs()[0].array().tolist() == [[3, 3]]
        with pytest.raises(InvalidRequest, match="unexpected deadlock"):
            run.outputs()


def test_the_limit_of_responses_in_flight_is_the_configs():
    """Zero, as when it is left out, leaves it to the server."""
    for limit in (0, 3):
        scheduling = pb.ModelEnsembling(
            step=[step("a", {"X": "I"}, {"Y": "O"})], max_inflight_requests=limit
        )
        config = pb.ModelConfig(ensemble_scheduling=scheduling)
        assert EnsemblePlan.from_config(config, signature()).max_in_flight == limit


@pytest.mark.parametrize(
    ("shape", "dims", "rows", "batches", "expected"),
    [
        ((4, 2), (2,), 4, True, (4, 2)),
        ((2,), (2,), 0, False, (2,)),
        ((2,), (2,), 0, True, (1, 2)),
        ((3,), (-1,), 0, True, (1, 3)),
        ((4, 2), (2,), 0, True, (4, 2)),
        ((3,), (2,), 0, True, (3,)),
        ((1, 2), (2,), 1, False, (2,)),
        ((1, 2), (-1, 2), 1, False, (1, 2)),
        ((2, 2), (2,), 2, False, (2, 2)),
        ((2, 2), (-1, 2), 2, False, (2, 2)),
    ],
)
def test_a_batch_dimension_of_one_comes_and_goes(shape, dims, rows, batches, expected):
    """Between models that batch and models that do not, as in Triton."""
    assert fit_shape(shape, dims, rows=rows, batches=batches) == expected


def test_an_ensemble_that_does_not_batch_over_models_that_do():
    """Its inputs get a batch dimension, its outputs lose it."""
    made = plan(step("a", {"X": "I"}, {"Y": "O"}), batch=0)
    vector = Tensor("I", "INT32", (2,), array=np.zeros(2, "<i4"))
    run = EnsembleRun(made, InferRequest("e", {"I": vector}))
    (a,) = run.start()

    assert run.take_inputs(a, signature(("X",)))["X"].shape == (1, 2)
    run.complete(a, [answer("Y")], 1)
    (output,) = run.outputs()
    assert (output.shape, output.array().shape) == ((2,), (2,))


@pytest.mark.parametrize(("batch", "lead"), [(4, (3,)), (0, ())])
def test_the_reshape_of_an_ensemble_is_between_clients_and_steps(batch, lead):
    """Of inputs and of outputs, with and without a batch; -1 passes."""
    scheduling = pb.ModelEnsembling(step=[step("a", {"X": "I"}, {"Y": "O"})])
    outside, inside = (-1, 4), (2, 2, -1)
    made = EnsemblePlan.from_config(
        pb.ModelConfig(ensemble_scheduling=scheduling),
        Signature(
            "e",
            batch,
            [spec("I", outside, reshape=inside)],
            [spec("O", outside, reshape=inside)],
        ),
    )
    sent = Tensor("I", "INT32", (*lead, 5, 4), array=np.zeros((*lead, 5, 4), "<i4"))
    asked = InferRequest("e", {"I": sent})
    asked.batch_size = 3 if batch else 1
    run = EnsembleRun(made, asked)
    (a,) = run.start()
    inner = Signature("a", batch, [spec("X", inside)], [spec("Y", inside)])
    given = run.take_inputs(a, inner)["X"]
    assert given.shape == given.array().shape == (*lead, 2, 2, 5)

    run.complete(a, [answer("Y", shape=(*lead, 2, 2, 5))], 3 if batch else 0)
    (output,) = run.outputs()
    assert output.shape == output.array().shape == (*lead, 5, 4)


@given(st.data())
def test_every_step_runs_once_and_after_what_it_reads(data):
    """Whatever the graph and in whatever order the steps end."""
    count = data.draw(st.integers(1, 8))
    steps = []
    for index in range(count):
        sources = data.draw(st.sets(st.integers(-1, index - 1), min_size=1))
        reads = {f"X{i}": "I" if i < 0 else f"t{i}" for i in sources}
        steps.append(step(f"m{index}", reads, {"Y": f"t{index}"}))
    made = plan(*steps, outputs=[f"t{index}" for index in range(count)])
    run = EnsembleRun(made, request())
    running, ended = run.start(), []
    seen_together = len(running) > 1
    while running:
        one = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert all(source == "I" or source in ended for source in one.inputs.values())
        ended.append(f"t{one.index}")
        running += run.complete(one, [answer("Y")], 1)
        seen_together = seen_together or len(running) > 1

    assert sorted(ended) == sorted(f"t{index}" for index in range(count))
    assert len(run.outputs()) == count
    assert not (made.is_chain and seen_together)
