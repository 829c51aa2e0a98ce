"""The CPUs are shared among models, not given to each of them."""

import gc
import logging

import pytest
from inferd_backend_onnx import OnnxBackend
from inferd_backend_onnx.threads import ThreadBudget

from inferd._generated.inference import ModelConfig, ModelInstanceGroup, ModelInstanceGroupKind
from inferd.backend import ModelContext, Placement

CPU = ModelInstanceGroupKind.CPU


@pytest.mark.parametrize(
    ("instances", "separate", "threads", "cpus"),
    [
        *((1, False, 8, 8), (2, False, 7, 8), (8, False, 1, 8), (9, False, 1, 9)),
        *((1, True, 8, 8), (2, True, 4, 8), (3, True, 2, 6), (9, True, 1, 9)),
    ],
)
def test_one_model_has_all_cpus(instances, separate, threads, cpus):
    """Instances that share a session share all its threads but the one that calls."""
    share = ThreadBudget(8).share(("m", 1), instances, separate=separate)

    assert (share.threads, share.cpus) == (threads, cpus)


def test_the_next_model_has_what_is_left():
    """At least one thread."""
    budget = ThreadBudget(8)
    first = budget.share(("a", 1), 3, separate=True)
    second = budget.share(("b", 1), 1, separate=False)
    third = budget.share(("c", 1), 1, separate=False)

    assert (first.threads, second.threads, third.threads) == (2, 2, 1)


def test_a_version_asks_as_often_as_it_likes():
    """Its share stays the same while it has it."""
    budget = ThreadBudget(8)
    first = budget.share(("a", 1), 1, separate=False)
    other = budget.share(("b", 1), 1, separate=False)

    assert budget.share(("a", 1), 1, separate=False) is first
    assert budget.share(("b", 1), 1, separate=False) is other


def test_what_is_given_back_goes_to_the_next():
    """A model that is gone has nothing."""
    budget = ThreadBudget(8)
    first = budget.share(("a", 1), 1, separate=False)
    assert first.threads == 8
    del first

    assert budget.share(("b", 1), 1, separate=False).threads == 8


def test_a_new_version_is_not_held_up_by_the_one_it_replaces():
    """Nor is a model that is loaded again with other instance groups."""
    budget = ThreadBudget(8)
    kept = [
        budget.share(("a", version), instances, separate=False)
        for version, instances in ((1, 1), (2, 1), (1, 2))
    ]

    assert [share.threads for share in kept] == [8, 8, 7]
    assert budget.share(("b", 1), 1, separate=False).threads == 1


def test_fewer_threads_than_alone_are_reported(caplog):
    """With what to do about it."""
    budget = ThreadBudget(4)
    with caplog.at_level(logging.INFO):
        first = budget.share(("a", 1), 2, separate=False)
        second = budget.share(("b", 7), 1, separate=False)

    assert (first.threads, second.threads) == (3, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "model 'b' version 7: 1 of 4 threads per operator, since other models have the other "
        "CPUs; see the parameter intra_op_thread_count"
    ]


class TestSessions:
    """What ONNX Runtime gets."""

    @pytest.fixture(name="load")
    def _load(self, tmp_path, onnx_files, monkeypatch):
        """Return a function that loads a model and returns it and its session's threads."""
        monkeypatch.setattr("inferd_backend_onnx.backend.usable_cpus", lambda: 4)
        backend = OnnxBackend({})

        def load(name, count=1):
            folder = tmp_path / name
            onnx_files.add_sub(folder / "1" / "model.onnx")
            (folder / "1" / "weights").write_bytes(bytes(1 << 20))
            config = ModelConfig(name=name, backend="onnxruntime")
            config.instance_group = [ModelInstanceGroup(kind=CPU, count=count)]
            context = ModelContext(name, 1, config, folder, folder / "1")
            backend.complete_config(context)
            model = backend.load(context)
            model.create_instance(Placement(f"{name}_0", CPU))
            (session,) = model._sessions.values()
            return model, session.get_session_options().intra_op_num_threads

        return load

    def test_models_share_the_quota(self, load):
        """Until one is closed; its successor has its threads."""
        first, threads = load("a", count=2)
        assert threads == 3
        second, threads = load("b")
        assert threads == 1
        first.close()
        gc.collect()

        third, threads = load("c")
        assert threads == 3
        for model in (second, third):
            model.close()

    def test_a_reload_has_what_the_model_had(self, load):
        """Old and new are there at the same time."""
        old, before = load("a")
        new, after = load("a")

        assert before == after == 4
        for model in (old, new):
            model.close()
