"""
For those who write backends and models: a server without sockets, and the conformance suite.

Public API. Neither needs a running ``inferd serve``.
"""
