"""
What every backend must do, as tests a plugin author collects with pytest.

Subclass :class:`BackendConformance` in a test file, name the backend and write one small
model in its format::

    class TestMyBackend(BackendConformance):
        backend_class = MyBackend

        def make_model(self, directory):
            write_add_sub(directory / "1" / "model.my")
            return models.add_sub("mybackend", completes=True)

Every method is one promise of :mod:`inferd.backend`, tried through its public hooks
alone. The module needs no pytest; a test that does not apply raises
:class:`unittest.SkipTest`, which pytest understands.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest

import numpy as np

from inferd.backend import API_VERSION, Backend, Instance, ModelInstanceGroupKind, Placement
from inferd.errors import InferdError
from inferd.testing.checks import (
    LoadedModel,
    check_execution,
    compare,
    described_tensors,
    error_of,
    make_batch,
    make_context,
    require,
    require_backend_error,
    with_filename,
    without_tensors,
)
from inferd.testing.models import SampleModel

_ROUNDS = 20
"""Executions of each thread when instances run at once."""


class BackendConformance:
    """
    The promises of a backend.

    Attributes:
        backend_class: The backend under test.
        settings: What its constructor gets.
    """

    backend_class: ClassVar[type[Backend]]
    settings: ClassVar[Mapping[str, str]] = {}

    def make_model(self, directory: Path) -> SampleModel:
        """
        Write a model and return what it must answer.

        Args:
            directory: The model's folder; its version folder ``1`` exists and is empty.
        """
        raise NotImplementedError

    def placement(self, index: int) -> Placement:
        """Return where instance ``index`` runs; on the CPU unless overridden."""
        return Placement(f"group_{index}", ModelInstanceGroupKind.CPU)

    def test_declares_the_contract(self) -> None:
        """The backend says which version of the contract it was written for."""
        require(issubclass(self.backend_class, Backend), "it is not a subclass of Backend")
        declared = self.backend_class.API_VERSION
        require(declared == API_VERSION, f"its API_VERSION is {declared}, not {API_VERSION}")

    def test_describes_itself(self) -> None:
        """The start-up table and the config defaults get values they can use."""
        backend = self.backend_class(self.settings)
        require(isinstance(backend.framework_version, str), "framework_version is no str")
        require(isinstance(backend.uses_gpus, bool), "uses_gpus is no bool")
        require(isinstance(backend.default_filename, str), "default_filename is no str")
        require(backend.cpu_instance_count >= 1, "cpu_instance_count is less than 1")

    def test_keeps_a_complete_config(self, tmp_path: Path) -> None:
        """A config that leaves nothing out is not changed."""
        sample, backend = self._prepare(tmp_path)

        completed = backend.complete_config(make_context(sample.config, tmp_path))

        require(completed == sample.config, f"{sample.config} became {completed}")

    def test_completes_a_config(self, tmp_path: Path) -> None:
        """Inputs, outputs and batching are found out from the files, where that is claimed."""
        sample, backend = self._prepare(tmp_path)
        bare = without_tensors(sample.config)

        completed = backend.complete_config(make_context(bare, tmp_path))

        if not sample.completes:
            require(completed == bare, f"it is said to complete nothing, and returned {completed}")
            return
        found, actual = described_tensors(completed), described_tensors(sample.config)
        require(found == actual, f"it found {found}, the model has {actual}")
        loaded = LoadedModel(
            sample, backend.load(make_context(completed, tmp_path)), self.placement
        )
        check_execution(sample, sample.inputs(1), loaded.create())
        loaded.close()

    def test_reports_a_missing_model_file(self, tmp_path: Path) -> None:
        """Loading a version without its file is a BackendError on one line."""
        sample, backend = self._prepare(tmp_path)
        path = self._model_file(sample, tmp_path)
        path.rename(path.with_name("elsewhere"))

        require_backend_error(lambda: backend.load(make_context(sample.config, tmp_path)))

    def test_reports_a_corrupt_model_file(self, tmp_path: Path) -> None:
        """Loading a file that is no model is a BackendError on one line."""
        sample, backend = self._prepare(tmp_path)
        path = self._model_file(sample, tmp_path)
        if path.is_dir():
            raise SkipTest("the model is a folder")
        path.write_bytes(b"this is no model\n" * 64)

        require_backend_error(lambda: backend.load(make_context(sample.config, tmp_path)))

    def test_answers_every_batch_size(self, tmp_path: Path) -> None:
        """Batches of 1 to max_batch_size rows get right values, datatypes and shapes."""
        with self._loaded(tmp_path) as loaded:
            instance = loaded.create()
            for rows in range(1, max(1, loaded.sample.config.max_batch_size) + 1):
                check_execution(loaded.sample, loaded.sample.inputs(rows, seed=rows), instance)

    def test_answers_several_requests_at_once(self, tmp_path: Path) -> None:
        """A batch of several requests is answered for each of them."""
        with self._loaded(tmp_path) as loaded:
            size = loaded.sample.config.max_batch_size
            if size < 2:
                raise SkipTest("the model does not batch")
            inputs = loaded.sample.inputs(size)
            batch = make_batch(loaded.sample, inputs, rows=(size - 1, 1))

            outputs = loaded.create().execute(batch)

            unknown = set(batch.parameters or ()) - {0, 1}
            require(not unknown, f"it set parameters of requests {unknown}, which do not exist")
            compare(loaded.sample, inputs, batch, outputs)

    def test_returns_requested_outputs_in_order(self, tmp_path: Path) -> None:
        """Each output alone, and all of them backwards, come as they were asked for."""
        with self._loaded(tmp_path) as loaded:
            instance = loaded.create()
            inputs = loaded.sample.inputs(1)
            names = [output.name for output in loaded.sample.config.output]
            for wanted in (*([name] for name in names), names[::-1]):
                batch = make_batch(loaded.sample, inputs, outputs=wanted)
                compare(loaded.sample, inputs, batch, instance.execute(batch))

    def test_takes_read_only_inputs(self, tmp_path: Path) -> None:
        """Tensors are views on received bytes, which cannot be written."""
        with self._loaded(tmp_path) as loaded:
            inputs = loaded.sample.inputs(1)
            for array in inputs.values():
                array.setflags(write=False)

            check_execution(loaded.sample, inputs, loaded.create())

    def test_leaves_its_inputs_alone(self, tmp_path: Path) -> None:
        """Executing writes nothing into the inputs, which may be needed again."""
        with self._loaded(tmp_path) as loaded:
            inputs = loaded.sample.inputs(1)
            before = {name: array.copy() for name, array in inputs.items()}

            loaded.create().execute(make_batch(loaded.sample, inputs))

            for name, array in inputs.items():
                require(np.array_equal(array, before[name]), f"it wrote into input {name}")

    def test_outputs_outlive_the_call(self, tmp_path: Path) -> None:
        """Outputs stay as they are when buffers are used again and the instance runs on."""
        with self._loaded(tmp_path) as loaded:
            instance = loaded.create()
            inputs = loaded.sample.inputs(1, seed=1)
            lent = {name: array.copy() for name, array in inputs.items()}
            batch = make_batch(loaded.sample, lent)
            outputs = instance.execute(batch)

            for array in lent.values():
                array[...] = np.zeros((), array.dtype)
            instance.execute(make_batch(loaded.sample, loaded.sample.inputs(1, seed=2)))

            compare(loaded.sample, inputs, batch, outputs)

    def test_instances_run_at_once(self, tmp_path: Path) -> None:
        """Two instances in two threads answer their own requests."""
        with self._loaded(tmp_path) as loaded:
            problems: list[BaseException] = []

            def run(instance: Instance, offset: int) -> None:
                try:
                    for count in range(_ROUNDS):
                        inputs = loaded.sample.inputs(1, seed=2 * count + offset)
                        check_execution(loaded.sample, inputs, instance)
                except BaseException as error:
                    problems.append(error)

            threads = [
                threading.Thread(target=run, args=(loaded.create(), offset)) for offset in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if problems:
                raise problems[0]

    def test_refuses_what_it_cannot_run(self, tmp_path: Path) -> None:
        """Inputs the model cannot take are an error of that batch, and the instance goes on."""
        with self._loaded(tmp_path) as loaded:
            if loaded.sample.refused is None:
                raise SkipTest("the model takes anything")
            instance = loaded.create()
            batch = make_batch(loaded.sample, loaded.sample.refused)

            error = error_of(lambda: instance.execute(batch))

            require(
                isinstance(error, InferdError) or bool(batch.failures),
                f"inputs it cannot take ended with {error!r}, not with a BackendError",
            )
            check_execution(loaded.sample, loaded.sample.inputs(1), instance)

    def test_closing_one_leaves_the_others(self, tmp_path: Path) -> None:
        """An instance, and a second load of the model, outlive another's close."""
        with self._loaded(tmp_path / "kept") as kept:
            instance = kept.create()
            with self._loaded(tmp_path / "closed") as closed:
                first, second = closed.create(), closed.create()
                closed.close_one(first)
                check_execution(closed.sample, closed.sample.inputs(1), second)
            check_execution(kept.sample, kept.sample.inputs(1), instance)

    def _prepare(self, directory: Path) -> tuple[SampleModel, Backend]:
        (directory / "1").mkdir(parents=True)
        sample = self.make_model(directory)
        with_filename(sample.config, self.backend_class)
        return sample, self.backend_class(self.settings)

    @contextmanager
    def _loaded(self, directory: Path) -> Iterator[LoadedModel]:
        sample, backend = self._prepare(directory)
        model = backend.load(make_context(sample.config, directory))
        loaded = LoadedModel(sample, model, self.placement)
        try:
            yield loaded
        except BaseException:
            # An error while closing must not hide the failure.
            with suppress(Exception):
                loaded.close()
            raise
        loaded.close()

    def _model_file(self, sample: SampleModel, directory: Path) -> Path:
        if not self.backend_class.default_filename:
            raise SkipTest("the backend has no model file")
        return make_context(sample.config, directory).model_path
