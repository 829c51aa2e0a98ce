"""
Every error a client can see, and the few that end a start-up.

Nothing here knows a status code: ``frontends/*/errors.py`` hold the two tables
that say which HTTP and gRPC status each class has.

::

    InferdError
    ├── InvalidRequest          does not match what the model takes
    │   └── UnsupportedFeature  well formed, but not done by this server or model
    │       └── DecoupledModel  one answer was asked of a model that gives any number
    ├── MalformedDocument       bytes that are not the JSON document they claim to be
    ├── NotFound                no such model, version or region
    ├── AlreadyExists           the name is taken
    ├── Unavailable             the right request at the wrong moment
    │   ├── ModelNotReady
    │   ├── QueueFull
    │   ├── QueueTimeout
    │   │   └── DeadlineExceeded  too late for whoever asked
    │   ├── ServerFull          too many bytes of other requests
    │   └── ShuttingDown
    ├── RequestCancelled        the client took the request back
    ├── LoadFailed              model control: loading raised, and why
    ├── PollFailed              model control: nothing fit to load in the repository
    └── BackendError            the backend raised or broke its contract

    ConfigError                 a bad flag, file or variable; the program ends
    PluginError                 a backend plugin that cannot be used, and whose it is

``asyncio.CancelledError`` is not among them: it always propagates.
"""


class InferdError(Exception):
    """
    An error whose message may be shown to the client as it is.

    Attributes:
        message: What went wrong, naming the model, the tensor, the expected and
            the actual where there are any.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(InferdError):
    """The request cannot be decoded or does not match the model."""


class UnsupportedFeature(InvalidRequest):
    """The request is well formed but asks for what this server or model does not do."""


class DecoupledModel(UnsupportedFeature):
    """One answer was asked for, but the model's requests have any number of responses."""


class MalformedDocument(InferdError):
    """
    A JSON document that does not parse, or whose fields have the wrong JSON type.

    Triton reports these as internal errors (HTTP 500), and its tests depend on it.
    """


class NotFound(InferdError):
    """There is no such model, version or region."""


class AlreadyExists(InferdError):
    """The name is taken."""


class Unavailable(InferdError):
    """The request is right but cannot be served now; it may be sent again."""


class ModelNotReady(Unavailable):
    """The version exists but is loading, unloading or failed to load."""


class QueueFull(Unavailable):
    """The model's queue has reached its limit."""


class QueueTimeout(Unavailable):
    """The request waited longer than its queue timeout."""


class DeadlineExceeded(QueueTimeout):
    """
    The request's deadline passed, or would have passed before an answer.

    With ``--strict-deadlines`` a queue timeout is one, too.
    """


class ServerFull(Unavailable):
    """The server holds so many bytes of requests that this one was not read."""


class ShuttingDown(Unavailable):
    """The server or the model no longer accepts requests."""


class RequestCancelled(InferdError):
    """The client took the request back before it was answered."""


class LoadFailed(InferdError):
    """Loading a model raised; the message carries the reason."""


class PollFailed(InferdError):
    """
    There is nothing fit to load under a name.

    Attributes:
        model: The model's name.
        reason: Why, for the log; clients are only told that it failed, as Triton does.
    """

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"failed to load '{model}', failed to poll from model repository")
        self.model = model
        self.reason = reason


class BackendError(InferdError):
    """The backend raised or broke its contract."""


class ConfigError(Exception):
    """A bad flag, file or environment variable; ends the program with one line."""


class PluginError(Exception):
    """
    A backend plugin that cannot be used.

    Attributes:
        distribution: Name of the distribution that declares the plugin.
        entry_point: The entry point's ``name = value``.
        reason: What is wrong with it.
    """

    def __init__(self, distribution: str, entry_point: str, reason: str) -> None:
        super().__init__(f"backend plugin {entry_point!r} of {distribution}: {reason}")
        self.distribution = distribution
        self.entry_point = entry_point
        self.reason = reason
