"""From ``sequence_batching`` of a config to its scheduler."""

import numpy as np
import pytest

from inferd._generated import inference as pb
from inferd.errors import LoadFailed
from inferd.models.sequence_batching import lane, read_states, sequence_scheduler
from inferd.protocol.signature import Signature
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_oldest import OldestLane
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.statistics import ModelStatistics


def config(filename="state"):
    """Return a config with one state whose initial value is in a file."""
    initial = pb.ModelSequenceBatchingInitialState(
        name="i", data_type=pb.DataType.TYPE_INT32, dims=[1], data_file=filename
    )
    state = pb.ModelSequenceBatchingState(
        input_name="IN",
        output_name="OUT",
        data_type=pb.DataType.TYPE_INT32,
        dims=[1],
        initial_state=[initial],
    )
    return pb.ModelConfig(
        name="m", max_batch_size=2, sequence_batching=pb.ModelSequenceBatching(state=[state])
    )


class TestStates:
    """Initial values."""

    def test_are_read_from_the_models_folder(self, tmp_path):
        """``initial_state/<data_file>``."""
        (tmp_path / "initial_state").mkdir()
        (tmp_path / "initial_state" / "state").write_bytes(np.array([7], "<i4").tobytes())
        states = read_states(config(), tmp_path)

        assert states is not None
        assert states.specs[0].initial.tolist() == [[7]]

    @pytest.mark.parametrize(
        ("filename", "text"),
        [("state", "No such file"), ("../secret", "outside of the folder initial_state")],
    )
    def test_a_file_that_is_not_there_fails_the_load(self, tmp_path, filename, text):
        """A file beside the folder counts as none."""
        (tmp_path / "secret").write_bytes(bytes(4))
        with pytest.raises(LoadFailed, match=f"initial value of state 'IN' of m: .*{text}"):
            read_states(config(filename), tmp_path)

    def test_other_models_have_none(self, tmp_path):
        """Nothing is read."""
        assert read_states(pb.ModelConfig(name="m"), tmp_path) is None


class TestLane:
    """Strategies."""

    def test_direct_has_a_slot_per_row(self):
        """A model without a batch dimension has one; it is the default strategy."""
        direct = pb.ModelSequenceBatchingStrategyDirect(minimum_slot_utilization=0.5)
        for batching in (pb.ModelSequenceBatching(), pb.ModelSequenceBatching(direct=direct)):
            made = [lane(batching, size) for size in (0, 1, 8)]
            assert all(isinstance(one, DirectLane) for one in made)
            assert [one.room for one in made] == [1, 1, 8]

    def test_oldest_has_its_candidates(self):
        """As many as fit into a batch when the config gives no number."""
        for candidates, expected in ((5, 5), (1, 1), (0, 8), (-1, 8)):
            oldest = pb.ModelSequenceBatchingStrategyOldest(max_candidate_sequences=candidates)
            made = lane(pb.ModelSequenceBatching(oldest=oldest), 8)
            assert isinstance(made, OldestLane)
            assert made.room == expected


async def test_a_scheduler_without_instances_can_be_closed(tmp_path):
    """It refuses what has no START like any other."""
    wanted = pb.ModelConfig(name="m", sequence_batching=pb.ModelSequenceBatching())
    scheduler = sequence_scheduler(
        wanted,
        Assembler(Signature.from_config(wanted), 1),
        read_states(wanted, tmp_path),
        [],
        ModelStatistics(),
    )
    await scheduler.close()
    assert scheduler.inflight == 0
