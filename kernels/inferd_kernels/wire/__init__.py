"""
The bytes of the protocols, natively: HTTP/2 with gRPC's framing, and the inference messages.

Both modules are optional: whoever imports them has a twin in pure Python for where they were
not built.
"""
