"""Lookup, load, reload and unload of real models of the identity backend."""

import asyncio
import logging
import os

import pytest

from inferd.errors import InvalidRequest, LoadFailed, ModelNotReady, NotFound, PollFailed

SLOW = 'parameters { key: "execute_delay_ms" value { string_value: "50" } }'
ALL = "version_policy { all { } }"
OVERRIDE = (
    '{"backend":"identity","max_batch_size":2,'
    '"input":[{"name":"INPUT0","data_type":"TYPE_FP32","dims":[1]}],'
    '"output":[{"name":"OUTPUT0","data_type":"TYPE_FP32","dims":[1]}]}'
)


def states(registry, name="m"):
    """Return version -> state."""
    record = registry.record(name)
    return {version: found.status.state for version, found in record.versions.items()}


def append(folder, text):
    """Change a model's config."""
    path = folder / "config.pbtxt"
    path.write_text(path.read_text() + text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


class TestLookup:
    """Who answers."""

    async def test_without_a_version_the_newest_ready_one_answers(self, registry, repository):
        """Each version can be named too."""
        append(repository.add(versions=("1", "10", "9")), ALL)
        await registry.load("m")

        assert registry.lookup("m", "").version == 10
        assert registry.lookup("m", "9").version == 9
        assert registry.lookup("m", "09").version == 9
        assert [one.version for one in registry.serving()] == [1, 9, 10]

    async def test_unknown_models_and_versions(self, registry, repository):
        """The texts are the reference's."""
        repository.add()
        await registry.load("m")

        with pytest.raises(NotFound, match=r"^Request for unknown model: 'x' is not found$"):
            registry.lookup("x", "")
        with pytest.raises(
            NotFound, match=r"^Request for unknown model: 'm' version 9 is not found$"
        ):
            registry.lookup("m", "9")
        with pytest.raises(InvalidRequest):
            registry.lookup("m", "abc")

    async def test_a_model_that_was_unloaded(self, registry, repository):
        """It has no versions, and its version is not ready."""
        repository.add()
        await registry.load("m")
        await registry.unload("m")

        with pytest.raises(NotFound, match="'m' has no available versions"):
            registry.lookup("m", "")
        with pytest.raises(ModelNotReady, match="'m' version 1 is not at ready state"):
            registry.lookup("m", "1")


class TestLoad:
    """Loading for the first time."""

    async def test_a_loaded_model_answers(self, registry, repository, ask):
        """From the files in the repository."""
        repository.add()
        await registry.load("m")
        response = await registry.lookup("m", "").scheduler.infer(ask(7))

        assert response.outputs[0].array().tolist() == [[7, 7]]
        assert states(registry) == {1: "READY"}
        assert registry.all_ready()

    async def test_a_model_that_is_nowhere_leaves_no_trace(self, registry, caplog):
        """It does not appear in the index; only the log says why."""
        with pytest.raises(PollFailed, match="failed to load 'x', failed to poll from model repo"):
            await registry.load("x")

        assert registry.record("x") is None
        assert "failed to poll model 'x': model not found in any model repository." in caplog.text

    async def test_a_file_the_disk_refuses_is_a_failed_poll(self, registry):
        """The server goes on."""
        with pytest.raises(PollFailed):
            await registry.load("new", config=OVERRIDE, files={"1/" + 300 * "x": b""})

    async def test_a_bad_model_without_any_version_has_its_reason(self, registry, repository):
        """There is no version to hang it on."""
        repository.add("bad", versions=())
        with pytest.raises(LoadFailed, match="load failed for model 'bad': Invalid argument: at l"):
            await registry.load("bad")

        assert "at least one version" in registry.record("bad").failure
        assert not registry.all_ready()

    async def test_one_bad_model_never_stops_the_others(self, registry, repository):
        """Its reason is kept."""
        repository.add("good")
        repository.add("bad", config="nonsense")
        failed = await registry.load_all(["bad", "good"])

        assert list(failed) == ["bad"]
        assert states(registry, "good") == {1: "READY"}
        assert "config.pbtxt" in registry.record("bad").versions[1].status.reason
        assert not registry.all_ready()

    async def test_a_failing_version_fails_the_whole_load(self, registry, repository):
        """No version serves, and each says why."""
        folder = repository.add(versions=("1", "2"))
        append(
            folder,
            ALL + 'instance_group { kind: KIND_CPU count: 1 } output { name: "P" '
            'data_type: TYPE_INT32 dims: [1] label_filename: "no.txt" }',
        )
        with pytest.raises(LoadFailed, match="version 1 is at UNAVAILABLE state: Invalid argument"):
            await registry.load("m")

        assert states(registry) == {1: "UNAVAILABLE", 2: "UNAVAILABLE"}
        assert not registry.all_ready()

    async def test_a_bad_override_is_a_failed_poll(self, registry, repository, caplog):
        """Clients and scripts match on both texts."""
        repository.add()
        with pytest.raises(PollFailed, match="failed to load 'm', failed to poll from model"):
            await registry.load("m", config='{"max_batch_size":"x"}')

        assert "Invalid config override" in caplog.text

    async def test_files_in_the_request_need_no_repository(self, registry):
        """The folder is gone after the unload."""
        await registry.load("new", config=OVERRIDE, files={"1/any": b""})
        folder = registry.record("new").override.directory
        assert registry.lookup("new", "").config.max_batch_size == 2
        await registry.load("new", config=OVERRIDE, files={"2/any": b""})

        assert registry.lookup("new", "").version == 2
        assert not folder.exists()

    async def test_files_of_a_failed_load_are_removed(self, registry):
        """And the model is reported as failed."""
        with pytest.raises(PollFailed):
            await registry.load("new", config="{}", files={"1/any": b""})


class TestReload:
    """Loading again."""

    async def test_an_unchanged_model_is_left_alone(self, registry, repository):
        """Its statistics go on."""
        repository.add()
        await registry.load("m")
        before = registry.lookup("m", "")
        await registry.load("m")

        assert registry.lookup("m", "") is before

    async def test_a_changed_model_is_replaced_without_losing_a_request(
        self, registry, repository, ask
    ):
        """What the old one accepted, it answers."""
        folder = repository.add()
        append(folder, SLOW)
        await registry.load("m")
        old = registry.lookup("m", "")
        accepted = [
            asyncio.get_running_loop().create_task(old.scheduler.infer(ask(value)))
            for value in range(3)
        ]
        await asyncio.sleep(0)
        append(folder, "instance_group { kind: KIND_CPU count: 2 }")
        await registry.load("m")

        assert registry.lookup("m", "") is not old
        answers = await asyncio.gather(*accepted)
        assert [int(one.outputs[0].array()[0, 0]) for one in answers] == [0, 1, 2]

    async def test_a_reload_that_fails_keeps_the_old_version(self, registry, repository, ask):
        """It goes on serving."""
        folder = repository.add()
        await registry.load("m")
        append(folder, "nonsense")
        with pytest.raises(LoadFailed):
            await registry.load("m")

        await registry.lookup("m", "").scheduler.infer(ask())
        assert states(registry) == {1: "READY"}
        assert registry.all_ready()

    async def test_versions_outside_the_policy_are_retired(self, registry, repository):
        """Once the new one serves."""
        folder = repository.add(versions=("1",))
        await registry.load("m")
        (folder / "2").mkdir()
        await registry.load("m")

        assert registry.lookup("m", "").version == 2
        assert states(registry)[2] == "READY"
        assert states(registry)[1] in ("UNLOADING", "UNAVAILABLE")

    async def test_a_model_can_be_loaded_right_after_its_unload(self, registry, repository, ask):
        """Even while the old one is still answering."""
        append(repository.add(), SLOW)
        await registry.load("m")
        slow = asyncio.get_running_loop().create_task(
            registry.lookup("m", "").scheduler.infer(ask())
        )
        await asyncio.sleep(0)
        await registry.unload("m")
        await registry.load("m")
        await slow

        assert states(registry) == {1: "READY"}

    async def test_a_load_that_failed_can_be_repeated(self, registry, repository):
        """After the config was mended."""
        folder = repository.add(config="nonsense")
        with pytest.raises(LoadFailed):
            await registry.load("m")
        (folder / "config.pbtxt").write_text(
            'backend: "identity" input { name: "INPUT0" data_type: TYPE_FP32 dims: [1] } '
            'output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [1] }'
        )
        await registry.load("m")

        assert registry.all_ready()


class TestUnload:
    """Unloading."""

    async def test_an_unknown_model_is_no_error(self, registry):
        """As in the reference."""
        await registry.unload("x")

    async def test_an_unloaded_version_says_so(self, registry, repository, caplog):
        """And does not make the server unready."""
        repository.add()
        await registry.load("m")
        with caplog.at_level(logging.INFO):
            await registry.unload("m")
            await registry.close()

        record = registry.record("m").versions[1]
        assert (record.status.state, record.status.reason) == ("UNAVAILABLE", "unloaded")
        assert registry.all_ready()
        assert "successfully unloaded 'm' version 1" in caplog.text

    async def test_a_forgotten_model_is_not_in_the_index(self, registry, repository):
        """Its folder is gone."""
        repository.add()
        await registry.load("m")
        await registry.forget("m")

        assert registry.records() == []
