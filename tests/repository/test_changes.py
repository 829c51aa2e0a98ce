"""What happened between two looks at a repository."""

from inferd.repository.changes import SETTLE_NS, compare
from inferd.repository.fingerprint import Fingerprint

NOW = 10 * SETTLE_NS


def seen(modified_ns=0, name="config.pbtxt"):
    """Return the fingerprint of a folder with one file."""
    return Fingerprint(((name, modified_ns, 1),))


def test_nothing_changed():
    """Nothing to do."""
    changes = compare({"a": seen()}, {"a": seen()}, NOW)

    assert (changes.load, changes.unload, changes.seen) == ((), (), {"a": seen()})


def test_new_and_changed_models_are_loaded():
    """In order of their names."""
    changes = compare({"a": seen(1)}, {"b": seen(2), "a": seen(2)}, NOW)

    assert changes.load == ("a", "b")
    assert changes.seen == {"a": seen(2), "b": seen(2)}


def test_models_that_are_gone_are_unloaded():
    """And forgotten."""
    changes = compare({"a": seen(), "b": seen()}, {"b": seen()}, NOW)

    assert (changes.unload, changes.seen) == (("a",), {"b": seen()})


def test_a_folder_that_is_still_written_waits():
    """Exactly at the settle time it is taken."""
    for age_ns, expected in ((SETTLE_NS - 1, ()), (SETTLE_NS, ("a",))):
        assert compare({}, {"a": seen(NOW - age_ns)}, NOW).load == expected


def test_what_waits_is_looked_at_again():
    """The next comparison still sees the old state."""
    before = {"a": seen(1)}
    first = compare(before, {"a": seen(NOW)}, NOW)
    second = compare(first.seen, {"a": seen(NOW)}, NOW + SETTLE_NS)

    assert first.load == ()
    assert second.load == ("a",)
