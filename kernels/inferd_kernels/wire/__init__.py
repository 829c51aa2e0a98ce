"""
The bytes of the protocols, natively: HTTP/2 with gRPC framing, inference messages, JSON numbers.

All modules are optional: whoever imports them has a twin in pure Python for where they were
not built.
"""
