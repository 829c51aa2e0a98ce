"""Following a repository that changes."""

import os
import shutil

from inferd.models.poller import Poller


def age(folder):
    """Make a folder look as if nobody had written to it for an hour."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 3600 * 10**9))


def poller(catalog, registry):
    """Return a poller that has seen nothing."""
    return Poller(catalog, registry, 3600, {})


async def test_new_changed_and_removed_models_are_followed(registry, repository, catalog):
    """One look at a time."""
    follow = poller(catalog, registry)
    folder = repository.add()
    age(folder)
    await follow.poll()
    first = registry.lookup("m", "")
    await follow.poll()
    assert registry.lookup("m", "") is first

    (folder / "2").mkdir()
    age(folder)
    await follow.poll()
    assert registry.lookup("m", "").version == 2

    shutil.rmtree(folder)
    await follow.poll()
    assert registry.record("m") is None


async def test_a_folder_that_is_being_written_waits(registry, repository, catalog):
    """It may be half a copy."""
    repository.add()
    changes = await poller(catalog, registry).poll()

    assert changes.load == ()
    assert registry.record("m") is None


async def test_a_bad_model_is_tried_again_only_when_it_changes(
    registry, repository, catalog, caplog
):
    """The log is not filled with the same error."""
    follow = poller(catalog, registry)
    age(repository.add("bad", config="nonsense"))
    age(repository.add("good"))
    await follow.poll()
    assert (await follow.poll()).load == ()

    assert "failed to load 'bad'" in caplog.text
    assert registry.lookup("good", "").version == 1


async def test_it_can_be_started_and_stopped(registry, catalog):
    """Stopping one that never ran is fine."""
    follow = poller(catalog, registry)
    await follow.stop()
    follow.start()
    await follow.stop()
