"""The gRPC frontend: grpclib, hardened, and the Open Inference Protocol's services on it."""
