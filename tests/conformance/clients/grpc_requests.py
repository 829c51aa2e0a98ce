"""
Send the requests on standard input over one gRPC channel and print what came back.

Input: a JSON list of ``[rpc, message]``, the message in protobuf's JSON form. Output: a JSON
list of ``{"code", "text", "message"}`` in the same order. Every request goes over the same
channel, so a server that gives up on a connection shows in the requests that follow.
"""

import json
import sys

import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc


def send(stub, rpc, message):
    """Send one request; return its status code, its status text and its answer."""
    request = json_format.ParseDict(message, getattr(service_pb2, f"{rpc}Request")())
    try:
        answer = getattr(stub, rpc)(request, timeout=30)
    except grpc.RpcError as error:
        return {"code": error.code().name, "text": error.details(), "message": None}
    fields = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    return {"code": "OK", "text": "", "message": fields}


def main():
    """Read, send, print."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(sys.argv[1], options=options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = [send(stub, rpc, message) for rpc, message in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
