"""The backend loader finds plugins, makes each once, and says whose fault a broken one is."""

import sys
import threading

import pytest

from inferd.backend import API_VERSION
from inferd.backends.loader import BackendLoader, InstalledBackend
from inferd.errors import LoadFailed, PluginError

WORKING = """
from inferd.backend import API_VERSION, Backend

class Toy(Backend):
    API_VERSION = API_VERSION
    made = 0

    def __init__(self, settings):
        super().__init__(settings)
        type(self).made += 1

    def load(self, context):
        raise NotImplementedError
"""


def refusal(loader: BackendLoader, name: str) -> PluginError:
    """Load a backend that must be refused and return the error."""
    with pytest.raises(PluginError) as caught:
        loader.load(name)
    return caught.value


class TestInstalled:
    """Listing what is there."""

    def test_lists_without_importing(self, install):
        """A plugin is listed with its distribution and version although it cannot be imported."""
        install("broken-plugin", {"broken": "broken_module:Missing"})

        listed = BackendLoader({}).installed()

        expected = InstalledBackend("broken", "broken-plugin", "2.5", "broken_module:Missing")
        assert expected in listed
        assert "broken_module" not in sys.modules

    def test_is_ordered_by_name(self, install):
        """The start-up table lists backends in alphabetical order."""
        install("two-names", {"zebra": "zoo:Zebra", "ant": "zoo:Ant"})

        names = [backend.name for backend in BackendLoader({}).installed()]

        assert names == sorted(names)
        assert {"ant", "zebra"} <= set(names)

    def test_lists_a_distribution_found_twice_once(self, install, monkeypatch):
        """A folder that is on the path twice does not make its plugin a duplicate."""
        install("toy-plugin", {"toy": "toy_once:Toy"}, "toy_once", WORKING)
        monkeypatch.setattr(sys, "path", [sys.path[0], *sys.path])
        loader = BackendLoader({})

        assert [backend.name for backend in loader.installed()].count("toy") == 1
        assert type(loader.load("toy")).__name__ == "Toy"


class TestLoad:
    """Making a backend."""

    def test_built_in_backend_comes_through_the_same_door(self, install):
        """The identity backend is an entry point like any plugin's."""
        install("stand-in", {"same": "inferd.backends.identity:IdentityBackend"})

        backend = BackendLoader({}).load("same")

        assert backend.API_VERSION == API_VERSION

    def test_makes_a_backend_once(self, install):
        """All models of a backend share one object."""
        install("toy-plugin", {"toy": "toy_single:Toy"}, "toy_single", WORKING)
        loader = BackendLoader({})

        assert loader.load("toy") is loader.load("toy")
        assert loader.loaded() == {"toy": loader.load("toy")}

    def test_threads_get_the_same_backend(self, install):
        """Models loading at the same time do not make their backend twice."""
        install("toy-plugin", {"toy": "toy_threads:Toy"}, "toy_threads", WORKING)
        loader = BackendLoader({})
        start = threading.Barrier(4)
        got = []

        def load() -> None:
            start.wait()
            got.append(loader.load("toy"))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(got) == 4
        assert got[0].made == 1

    def test_gives_global_settings_beneath_its_own(self, install):
        """A --backend-config value for one backend beats the value for all."""
        install("toy-plugin", {"toy": "toy_settings:Toy"}, "toy_settings", WORKING)
        loader = BackendLoader(
            {"": {"a": "all", "b": "all"}, "toy": {"b": "toy"}, "other": {"c": "x"}}
        )

        assert loader.load("toy").settings == {"a": "all", "b": "toy"}

    def test_unknown_backend(self):
        """A model config naming an uninstalled backend fails with Triton's text."""
        with pytest.raises(LoadFailed) as caught:
            BackendLoader({}).load("nowhere")

        assert caught.value.message == (
            "unable to find backend library for backend 'nowhere', "
            "try specifying runtime on the model configuration."
        )

    def test_nothing_is_loaded_by_a_failure(self, install):
        """A refused plugin is not among the loaded backends."""
        install("broken-plugin", {"broken": "absent_module:Missing"})
        loader = BackendLoader({})

        refusal(loader, "broken")

        assert loader.loaded() == {}


class TestBrokenPlugin:
    """Plugins that cannot be used."""

    def test_two_distributions_with_one_name(self, install):
        """Both owners of a doubly declared name are told."""
        install("first-plugin", {"toy": "toy_a:Toy"}, "toy_a", WORKING)
        install("second-plugin", {"toy": "toy_b:Toy"}, "toy_b", WORKING)

        error = refusal(BackendLoader({}), "toy")

        assert error.distribution == "first-plugin and second-plugin"
        assert "more than one distribution" in error.reason

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            (
                "import a_module_nobody_has",
                "cannot be imported: ModuleNotFoundError: No module named 'a_module_nobody_has'",
            ),
            ("raise SystemExit", "cannot be imported: SystemExit"),
            ("raise ValueError('two\\n  lines')", "cannot be imported: ValueError: two lines"),
            ("Toy = 5", "is not a subclass of inferd.backend.Backend"),
            ("class Toy: pass", "is not a subclass of inferd.backend.Backend"),
            (
                WORKING.replace("API_VERSION = API_VERSION", "API_VERSION = 99"),
                "was built for version 99 of the backend contract, this server has version 1",
            ),
            (
                WORKING.replace("    API_VERSION = API_VERSION\n", ""),
                "was built for version 0 of the backend contract, this server has version 1",
            ),
            (
                WORKING.replace("type(self).made += 1", "raise OSError('no device')"),
                "could not be made: OSError: no device",
            ),
            (
                WORKING.replace("def load", "def lode"),
                "could not be made: TypeError",
            ),
        ],
    )
    def test_names_the_owner_and_the_reason(self, install, request, source, reason):
        """Whatever is wrong with a plugin, the error says whose it is and why."""
        module = f"toy_broken_{abs(hash(request.node.name))}"
        install("some-plugin", {"toy": f"{module}:Toy"}, module, source)

        error = refusal(BackendLoader({}), "toy")

        assert error.distribution == "some-plugin"
        assert error.entry_point == f"toy = {module}:Toy"
        assert error.reason.startswith(reason)
        assert "\n" not in str(error)

    def test_an_interrupt_is_not_a_plugin_error(self, install):
        """Ctrl-C during a plugin's import still stops the program."""
        install(
            "some-plugin",
            {"toy": "toy_interrupted:Toy"},
            "toy_interrupted",
            "raise KeyboardInterrupt",
        )

        with pytest.raises(KeyboardInterrupt):
            BackendLoader({}).load("toy")
