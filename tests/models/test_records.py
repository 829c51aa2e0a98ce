"""What is noted of models that could not be loaded."""

from inferd.models.records import ModelRecord, VersionRecord


def states(record):
    """Return version -> state and reason."""
    return {v: (one.status.state, one.status.reason) for v, one in record.versions.items()}


def test_the_newest_version_gets_the_reason_when_none_could_be_chosen():
    """Without any version, the model does."""
    record = ModelRecord("m")
    error = record.note_unprepared(3, "why")
    assert error.message == ("load failed for model 'm': version 3 is at UNAVAILABLE state: why;\n")
    assert (states(record), record.failure) == ({3: ("UNAVAILABLE", "why")}, "")

    assert record.note_unprepared(None, "why").message == "load failed for model 'm': why;\n"
    assert (states(record), record.failure) == ({}, "why")
    assert not record.is_sound()


def test_versions_that_were_given_up_are_no_failures():
    """Each version that failed is named."""
    record = ModelRecord("m", {1: VersionRecord(), 2: VersionRecord()})
    for version in record.versions.values():
        version.status.on("load")
    error = record.note_failures([1, 2], {2: "why"})

    assert error.message == ("load failed for model 'm': version 2 is at UNAVAILABLE state: why;\n")
    assert states(record) == {1: ("UNAVAILABLE", "unloaded"), 2: ("UNAVAILABLE", "why")}
    assert not record.is_sound()


def test_a_model_without_versions_is_sound():
    """It was never asked for."""
    assert ModelRecord("m").is_sound()
