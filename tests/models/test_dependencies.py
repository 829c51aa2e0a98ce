"""Who needs whom."""

from hypothesis import given
from hypothesis import strategies as st

from inferd._generated import inference as pb
from inferd.models.dependencies import Dependencies, composing_models


def graph(**needs):
    """Return the dependencies of ``name="needed needed"``."""
    made = Dependencies()
    for name, needed in needs.items():
        made.set(name, tuple(needed.split()))
    return made


def test_an_ensemble_is_composed_of_the_models_of_its_steps():
    """Each counted once; an ordinary model of none."""
    steps = [pb.ModelEnsemblingStep(model_name=name) for name in ("b", "a", "b")]
    ensemble = pb.ModelConfig(ensemble_scheduling=pb.ModelEnsembling(step=steps))

    assert composing_models(ensemble) == ("b", "a")
    assert composing_models(pb.ModelConfig()) == ()


def test_what_is_needed_loads_first_and_unloads_last():
    """Through ensembles of ensembles."""
    made = graph(outer="inner m", inner="m n")

    assert made.load_order(["outer", "n", "m", "inner"]) == ["m", "n", "inner", "outer"]
    assert made.unload_order(["m", "outer", "inner"]) == ["outer", "inner", "m"]
    assert made.load_order(["outer", "m"]) == ["m", "outer"]
    assert made.composing("outer") == ["m", "n", "inner"]


def test_dependents_are_found_through_ensembles():
    """The nearest first."""
    made = graph(outer="inner", inner="m", other="n")

    assert made.dependents("m") == ["inner", "outer"]
    assert made.dependents("outer") == []


def test_a_model_that_is_no_ensemble_any_more_needs_nothing():
    """Whether or not it was one."""
    made = graph(e="m")
    made.set("e", ())
    made.set("f", ())

    assert made.dependents("m") == []


def test_a_cycle_is_found_and_harms_nothing():
    """The model that closes it is named."""
    made = graph(a="b", b="c", c="a")

    assert made.cycle_through("a") == "c"
    assert graph(a="a").cycle_through("a") == "a"
    assert graph(a="b", b="c").cycle_through("a") is None
    assert set(made.load_order("abc")) == {"a", "b", "c"}
    assert set(made.dependents("a")) == {"b", "c"}


@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=4), max_size=10))
def test_every_order_respects_every_need(needs):
    """In graphs without cycles, whatever their form."""
    made = Dependencies()
    for name, needed in needs.items():
        made.set(str(name), tuple(str(one) for one in needed if one < name))
    order = made.load_order(str(one) for one in range(10))

    assert sorted(order) == [str(one) for one in range(10)]
    for name, needed in needs.items():
        for one in needed:
            if one < name:
                assert order.index(str(one)) < order.index(str(name))
                assert str(name) in made.dependents(str(one))
        assert made.cycle_through(str(name)) is None
