"""gRPC's reflection client: calls the service without any ``.proto`` file or generated class."""

import grpc
from flows import flow, main
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

INFERENCE = "inference.GRPCInferenceService"


@flow
def the_services_are_listed(server):
    """Inference, health and reflection itself."""
    with grpc.insecure_channel(server.grpc) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert set(services) == {
        INFERENCE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@flow
def a_model_is_called_by_what_reflection_tells(server):
    """The descriptions suffice to make a request and to read its answer."""
    with grpc.insecure_channel(server.grpc) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(INFERENCE).FindMethodByName("ModelInfer")
        request = GetMessageClass(method.input_type)(model_name="simple")
        for name in ("INPUT0", "INPUT1"):
            given = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
            given.contents.int_contents.extend(range(16))
        call = channel.unary_unary(
            f"/{INFERENCE}/ModelInfer",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        response = call(request)
    assert response.raw_output_contents[0] == b"".join(
        (2 * value).to_bytes(4, "little") for value in range(16)
    )


if __name__ == "__main__":
    main()
