"""What configs say about shared resources."""

import logging

import pytest

from inferd.backends.loader import BackendLoader
from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.loader import LoaderSettings, ModelLoader, discard
from inferd.models.rate_limits import check_rate_limits, permits_of
from inferd.scheduling.limited_instances import SharedResources
from inferd.scheduling.rate_limiter import GLOBAL, Limit, Resource

CONFIG = """
backend: "identity"
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
"""


def config(*groups):
    """Return a config with these instance groups."""
    text = "".join(
        f'instance_group {{ name: "g{index}" {group} }}\n' for index, group in enumerate(groups)
    )
    return model_config.parse_text(f'name: "m" {text}', "config.pbtxt")


def limited(resources, more=""):
    """Return the text of a group with one CPU instance and these resources."""
    return f"kind: KIND_CPU count: 1 rate_limiter {{ {resources} {more} }}"


ONE = 'resources { name: "R" count: 2 }'


def test_each_instance_needs_what_its_group_says():
    """Per device unless the resource is global, with the group's priority."""
    permits = permits_of(
        config(
            'kind: KIND_GPU count: 1 gpus: [ 0, 2 ] rate_limiter { resources { name: "R" count: 4 }'
            ' resources { name: "G" global: true count: 1 } priority: 3 }',
            "kind: KIND_CPU count: 1",
            limited(ONE),
        ),
        SharedResources(),
    )

    assert [(claim.needs, claim.priority) for claim in permits.claims] == [
        ({Resource("R", 0): 4, Resource("G", GLOBAL): 1}, 3),
        ({Resource("R", 2): 4, Resource("G", GLOBAL): 1}, 3),
        ({}, 1),
        ({Resource("R", 0): 2}, 1),
    ]


@pytest.mark.parametrize("group", ["kind: KIND_CPU count: 1", limited("priority: 2")])
def test_a_model_without_resources_needs_no_permits(group):
    """Its requests are not delayed by asking."""
    assert permits_of(config(group), SharedResources()) is None


def test_an_unlimited_server_has_no_permits():
    """What configs say is ignored."""
    assert permits_of(config(limited(ONE)), None) is None


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("resources { count: 1 }", "has a rate_limiter resource without a name"),
        ('resources { name: "R" }', "needs 0 of rate_limiter resource 'R', expected at least 1"),
        (ONE + ONE, "lists rate_limiter resource 'R' twice"),
    ],
)
def test_a_resource_that_cannot_be_understood_is_refused(resources, message):
    """The group is named; a server that does not limit executions does not look."""
    wrong = config("kind: KIND_CPU count: 1", limited(resources))
    with pytest.raises(LoadFailed) as caught:
        check_rate_limits(wrong, limited=True)

    assert caught.value.message == f"instance group g1 of model m {message}"
    check_rate_limits(wrong, limited=False)


@pytest.mark.parametrize("field", ["count: -1", "count: 4294967296"])
def test_a_count_that_is_no_count_is_refused_with_its_line(field):
    """By the parser."""
    with pytest.raises(LoadFailed, match=r"config\.pbtxt"):
        config(limited(f'resources {{ name: "R" {field} }}'))


@pytest.mark.parametrize("on", [True, False])
def test_a_config_whose_wish_has_no_effect_is_reported(caplog, on):
    """One line that says what switches it on."""
    with caplog.at_level(logging.WARNING):
        check_rate_limits(config(limited(ONE)), limited=on)
        check_rate_limits(config("kind: KIND_CPU count: 1"), limited=on)

    assert len(caplog.records) == (0 if on else 1)
    assert ("'instance_group.rate_limiter' has no effect" in caplog.text) is not on


def load(repository, resources, group, name="m"):
    """Load a model; return the built version."""
    folder = repository.add(name, config=CONFIG + f"instance_group {{ {group} }}")
    loader = ModelLoader(BackendLoader({}), LoaderSettings(), None, resources)
    return loader.build(loader.prepare(name, folder), 1)


def test_a_model_that_needs_more_than_there_is_does_not_load(repository):
    """The message names resource, limit, need and model."""
    with pytest.raises(LoadFailed) as caught:
        load(repository, SharedResources([Limit("R", 1)]), limited(ONE))

    assert caught.value.message == (
        'Resource count for "R" is limited to 1 which will prevent scheduling of one or more '
        "model instances, the minimum required count is 2 (model 'm')"
    )


def test_models_must_agree_on_what_is_global(repository):
    """A model that was discarded has no say."""
    resources = SharedResources()
    built = load(repository, resources, limited(ONE))
    other = limited('resources { name: "R" global: true count: 1 }')
    with pytest.raises(LoadFailed, match=r'"R" is present as both .* \(model \'n\'\)'):
        load(repository, resources, other, "n")
    discard(built)

    discard(load(repository, resources, other, "o"))


def test_a_failed_load_leaves_no_claim(repository):
    """The backend refuses the model after its needs were noted."""
    resources = SharedResources()
    bad = CONFIG.replace("INPUT0", "X") + f"instance_group {{ {limited(ONE)} }}"
    loader = ModelLoader(BackendLoader({}), LoaderSettings(), None, resources)
    prepared = loader.prepare("m", repository.add(config=bad))
    with pytest.raises(Exception, match="no input"):
        loader.build(prepared, 1)

    discard(
        load(repository, resources, limited('resources { name: "R" global: true count: 1 }'), "n")
    )
