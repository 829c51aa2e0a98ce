"""Batches of requests whose shapes differ."""

import asyncio

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd._generated.inference import BatchInputKind
from inferd.errors import BackendError
from inferd.protocol.messages import InferRequest
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.batch_inputs import BatchInputSpec, BatchOutputSpec
from inferd.scheduling.collation import CollatedInput, Collation, Cut
from inferd.scheduling.statistics import PaddingStatistics
from inferd.scheduling.variable_assembly import VariableAssembler

PADDED = Collation({"X": CollatedInput((1,))}, {"Y": [Cut(1, "X", 1)]})
BUCKETED = Collation({"X": CollatedInput((1,), buckets=(4, 8))}, {"Y": [Cut(1, "X", 1)]})


def spec(name, dims=(-1,), **more):
    """Return a FP32 tensor."""
    return TensorSpec(name, "FP32", 4, dims, **more)


def assembler(inputs=None, outputs=None, max_batch_size=8, **more):
    """Return an assembler; the input X is ragged unless others are given."""
    inputs = [spec("X", ragged=True)] if inputs is None else inputs
    signature = Signature("m", max_batch_size, inputs, outputs or [spec("Y")])
    return VariableAssembler(signature, 1, **more)


def plain(**more):
    """Return an assembler whose input X is not ragged."""
    return assembler([spec("X")], **more)


def request(rows=None, **arrays):
    """Return a checked request."""
    made = InferRequest(
        "m", {name: Tensor(name, "FP32", a.shape, array=a) for name, a in arrays.items()}
    )
    made.batch_size = next(iter(arrays.values())).shape[0] if rows is None else rows
    return made


def filled(length, value=None, rows=1):
    """Return ``[rows, length]`` of one value, by default the length."""
    return np.full((rows, length), length if value is None else value, np.float32)


def outputs(answers):
    """Return the first output of each answer."""
    return [answer.outputs[0].array().tolist() for answer in answers]


class TestRagged:
    """Ragged inputs."""

    def test_elements_of_all_requests_are_joined_in_order(self):
        """In one dimension, whatever the shapes."""
        made = assembler([spec("X", (-1, -1), ragged=True)])
        first = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
        batch = made.gather([request(X=first), request(X=np.full((2, 1, 1), 9, np.float32))])

        assert batch.inputs["X"].tolist() == [0, 1, 2, 3, 4, 5, 9, 9]
        assert batch.size == 3

    def test_a_single_request_is_flattened_without_a_copy(self):
        """The model always sees one dimension."""
        sent = filled(3)
        batch = assembler().gather([request(X=sent)])

        assert batch.inputs["X"].shape == (3,)
        assert np.shares_memory(batch.inputs["X"], sent)

    def test_text_is_joined_too(self):
        """BYTES are object arrays."""
        made = assembler([TensorSpec("X", "BYTES", 0, (-1,), ragged=True)])
        batch = made.gather(
            [request(X=np.array([[b"a", b"b"]], object)), request(X=np.array([[b"c"]], object))]
        )

        assert batch.inputs["X"].tolist() == [b"a", b"b", b"c"]

    def test_shapes_do_not_split_batches(self):
        """Those of other variable inputs do, and so do optional inputs left out."""
        made = assembler(
            [spec("X", ragged=True), spec("Z"), spec("O", (1,), ragged=True, optional=True)]
        )
        key = made.shape_key(request(X=filled(3), Z=filled(2)))

        assert key == made.shape_key(request(X=filled(5), Z=filled(2, rows=3)))
        assert key != made.shape_key(request(X=filled(3), Z=filled(4)))
        assert key != made.shape_key(request(X=filled(3), Z=filled(2), O=filled(1)))

    def test_other_inputs_are_joined_by_rows_and_reshaped(self):
        """As in any model; what the sequence batcher feeds passes as it is."""
        made = assembler([spec("X", ragged=True), spec("Z", (2,), reshape=(2, 1))])
        batch = made.gather([request(X=filled(n), Z=filled(2), S=filled(1)) for n in (1, 2)])

        assert batch.inputs["Z"].shape == (2, 2, 1)
        assert batch.inputs["S"].shape == (2, 1)


class TestBatchInputs:
    """Inputs the server makes."""

    def test_every_target_gets_the_values(self):
        """About the shapes the model sees."""
        made = assembler(
            [spec("X", (-1,), reshape=(-1, 1))],
            batch_inputs=[
                BatchInputSpec(BatchInputKind.BATCH_ITEM_SHAPE, ("A", "B"), "X", np.dtype("<i4"))
            ],
        )
        batch = made.gather([request(X=filled(3)), request(X=filled(3))])

        assert batch.inputs["A"].tolist() == batch.inputs["B"].tolist() == [[3, 1], [3, 1]]

    def test_a_model_that_does_not_batch_has_one_item(self):
        """Its shape has no batch dimension."""
        made = assembler(
            [spec("X")],
            max_batch_size=0,
            batch_inputs=[
                BatchInputSpec(
                    BatchInputKind.BATCH_ELEMENT_COUNT, ("A",), "X", np.dtype("<i4"), False
                )
            ],
        )
        batch = made.gather([request(X=np.zeros(5, np.float32), rows=1)])

        assert (batch.inputs["A"].tolist(), batch.size) == ([5], 1)

    def test_they_tell_the_lengths_before_padding(self):
        """So that a model can mask what was added."""
        count = BatchInputSpec(BatchInputKind.BATCH_ELEMENT_COUNT, ("N",), "X", np.dtype("<i4"))
        made = plain(batch_inputs=[count], collation=PADDED)
        batch = made.gather([request(X=filled(3)), request(X=filled(1))])

        assert batch.inputs["N"].tolist() == [3, 1]
        assert batch.inputs["X"].shape == (2, 3)


class TestBatchOutputs:
    """Outputs that are split by the shape of an input."""

    @pytest.mark.parametrize("lengths", [[2, 4, 1, 3], [0, 2], [5]])
    def test_each_request_gets_as_much_as_it_sent(self, lengths):
        """An identity model returns every request its own elements in its own shape."""
        made = assembler(batch_outputs={"Y": BatchOutputSpec("X", (-1, -1))})
        batch = made.gather([request(X=filled(n)) for n in lengths])
        answers = made.scatter(batch, [batch.inputs["X"]])

        assert outputs(answers) == [[[n] * n] for n in lengths]

    def test_a_part_is_reshaped_for_the_client(self):
        """From ``reshape`` back to ``dims``."""
        made = assembler(
            outputs=[spec("Y", (-1, 1), reshape=(-1,))],
            batch_outputs={"Y": BatchOutputSpec("X", (-1, -1))},
        )
        batch = made.gather([request(X=filled(2)), request(X=filled(1))])

        assert outputs(made.scatter(batch, [batch.inputs["X"]])) == [[[[2], [2]]], [[[1]]]]

    @pytest.mark.parametrize(
        ("returned", "text"),
        [
            (
                np.zeros(4, np.float32),
                "returned output 'Y' with 4 elements, but the shapes of input 'X' give 3",
            ),
            (np.zeros(3, np.int32), "as int32, but the model configuration specifies FP32"),
        ],
    )
    def test_an_output_that_cannot_be_split_is_refused(self, returned, text):
        """No request gets another's elements."""
        made = assembler(batch_outputs={"Y": BatchOutputSpec("X", (-1, -1))})
        batch = made.gather([request(X=filled(2)), request(X=filled(1))])

        with pytest.raises(BackendError, match=text):
            made.scatter(batch, [returned])

    def test_other_outputs_are_split_by_rows(self):
        """As in any model, with the same checks."""
        made = assembler()
        batch = made.gather([request(X=filled(2)), request(X=filled(1))])

        assert outputs(made.scatter(batch, [filled(1, 7, rows=2)])) == [[[7]], [[7]]]
        with pytest.raises(BackendError, match="for a batch of 2"):
            made.scatter(batch, [filled(1)])


class TestCollated:
    """Inputs that are padded."""

    @pytest.mark.parametrize(
        ("collation", "lengths", "width"),
        [(PADDED, [3, 1], 3), (PADDED, [2], 2), (BUCKETED, [3, 1], 4), (BUCKETED, [2], 4),
         (BUCKETED, [9], 9)],
    )  # fmt: skip
    def test_answers_have_the_lengths_of_their_requests(self, collation, lengths, width):
        """However long the padded batch was."""
        made = plain(collation=collation)
        batch = made.gather([request(X=filled(n)) for n in lengths])
        answers = made.scatter(batch, [batch.inputs["X"] + 1])

        assert batch.inputs["X"].shape == (len(lengths), width)
        assert outputs(answers) == [[[n + 1] * n] for n in lengths]

    def test_a_batch_of_one_is_not_copied_unless_it_is_padded(self):
        """Nor is one whose length is its bucket."""
        for collation, length in ((PADDED, 3), (BUCKETED, 4)):
            sent = filled(length)
            assert np.shares_memory(
                plain(collation=collation).gather([request(X=sent)]).inputs["X"], sent
            )

    def test_padded_inputs_are_reshaped(self):
        """The model sees ``reshape``, padding included."""
        made = assembler([spec("X", reshape=(-1, 1))], collation=PADDED)
        batch = made.gather([request(X=filled(2)), request(X=filled(1))])

        assert batch.inputs["X"].shape == (2, 2, 1)

    def test_only_padded_axes_are_ignored_by_the_shape_key(self):
        """Buckets are told apart."""
        padded, bucketed = plain(collation=PADDED), plain(collation=BUCKETED)
        three, five = request(X=filled(3)), request(X=filled(5))

        assert padded.shape_key(three) == padded.shape_key(five)
        assert bucketed.shape_key(three) != bucketed.shape_key(five)

    def test_padding_is_counted(self):
        """All elements given to the model, and those no client sent."""
        counted = PaddingStatistics()
        made = plain(collation=PADDED, padding=counted)
        made.gather([request(X=filled(3)), request(X=filled(1))])
        made.gather([request(X=filled(5))])

        assert counted == PaddingStatistics(elements=11, padded_elements=2)

    @pytest.mark.parametrize("returned", [(2, 2), (2,), (2, 4)])
    def test_an_output_that_does_not_follow_its_input_is_refused(self, returned):
        """Cutting it would hide a wrong config."""
        made = plain(collation=PADDED)
        batch = made.gather([request(X=filled(3)), request(X=filled(1))])

        with pytest.raises(
            BackendError, match="axis 1 is declared to be as long as axis 1 of inpu"
        ):
            made.scatter(batch, [np.zeros(returned, np.float32)])

    def test_an_output_of_an_input_left_out_is_not_cut(self):
        """There is no length to cut it to."""
        made = assembler(
            [spec("X", optional=True), spec("Z", (1,))], collation=PADDED, outputs=[spec("Y")]
        )
        batch = made.gather([request(Z=filled(1)), request(Z=filled(1))])

        assert outputs(made.scatter(batch, [filled(5, 0, rows=2)])) == [[[0] * 5]] * 2

    def test_an_output_without_cuts_is_split_by_rows(self):
        """Whole."""
        made = plain(collation=Collation({"X": CollatedInput((1,))}))
        batch = made.gather([request(X=filled(3)), request(X=filled(1))])

        assert outputs(made.scatter(batch, [filled(2, 0, rows=2)])) == [[[0, 0]]] * 2


@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6)), min_size=1, max_size=6),
    buckets=st.sampled_from([(), (2, 4)]),
)
def test_together_or_alone_the_answers_are_the_same(shapes, buckets):
    """Whatever the lengths, an elementwise model answers a padded batch bit for bit as it would."""
    collation = Collation({"X": CollatedInput((1,), buckets=buckets)}, {"Y": [Cut(1, "X", 1)]})
    made = assembler([spec("X")], max_batch_size=100, collation=collation)
    random = np.random.default_rng(0)
    sent = [request(X=random.standard_normal(shape, np.float32)) for shape in shapes]
    batches: dict[object, list[InferRequest]] = {}
    for one in sent:
        batches.setdefault(made.shape_key(one), []).append(one)
    for together in batches.values():
        batch = made.gather(together)
        answers = made.scatter(batch, [np.tanh(batch.inputs["X"])])
        for one, answer in zip(together, answers, strict=True):
            alone = made.gather([one])
            (expected,) = made.scatter(alone, [np.tanh(alone.inputs["X"])])
            assert answer.outputs[0].shape == one.inputs["X"].shape
            assert bytes(answer.outputs[0].raw()) == bytes(expected.outputs[0].raw())


async def test_threads_lose_no_count():
    """Instances gather at the same time."""
    counted = PaddingStatistics()
    made = plain(collation=PADDED, padding=counted)
    requests = [request(X=filled(3)), request(X=filled(1))]

    def many():
        for _ in range(200):
            made.gather(requests)

    await asyncio.gather(*(asyncio.to_thread(many) for _ in range(4)))

    assert counted == PaddingStatistics(elements=4800, padded_elements=1600)
