"""A client of our service that speaks Google's own messages."""

from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod

SERVICE = "/inference.GRPCInferenceService/"


class Client:
    """
    A grpclib channel that speaks Google's own messages.

    Attributes:
        channel: The channel.
        messages: The message classes by name.
    """

    def __init__(self, port, messages):
        self.channel = Channel("127.0.0.1", port)
        self.messages = messages

    async def call(self, name, request=None, *, path=SERVICE, package="", **options):
        """Call a unary RPC with a request of its type, or with none of its fields set."""
        request_type = getattr(self.messages, f"{package}{name}Request")
        response_type = getattr(self.messages, f"{package}{name}Response")
        method = UnaryUnaryMethod(self.channel, path + name, request_type, response_type)
        return await method(request if request is not None else request_type(), **options)

    async def health(self, service=""):
        """Call the health check."""
        messages = self.messages
        method = UnaryUnaryMethod(
            self.channel,
            "/grpc.health.v1.Health/Check",
            messages.HealthCheckRequest,
            messages.HealthCheckResponse,
        )
        return (await method(messages.HealthCheckRequest(service=service))).status

    def stream(self, **options):
        """Open a ``ModelStreamInfer``."""
        messages = self.messages
        return StreamStreamMethod(
            self.channel,
            SERVICE + "ModelStreamInfer",
            messages.ModelInferRequest,
            messages.ModelStreamInferResponse,
        ).open(**options)

    def request(self, model, *, id="", data=b"\x01\x00\x00\x00", **fields):
        """Make an inference request with one raw INT32 input."""
        request = self.messages.ModelInferRequest(model_name=model, id=id, **fields)
        request.inputs.add(name="IN", datatype="INT32", shape=[len(data) // 4])
        request.raw_input_contents.append(data)
        return request

    async def infer(self, model, *, deadline=None, metadata=None, **fields):
        """Call ``ModelInfer``, with a deadline in seconds."""
        request = self.request(model, **fields)
        method = UnaryUnaryMethod(
            self.channel,
            SERVICE + "ModelInfer",
            self.messages.ModelInferRequest,
            self.messages.ModelInferResponse,
        )
        return await method(request, timeout=deadline, metadata=metadata)
