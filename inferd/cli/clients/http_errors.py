"""Reads what an error answer over HTTP says."""

import json


def error_text(status: int, body: bytes) -> str:
    """Return the server's own message, or the status and what came instead of one."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}: {body[:200].decode(errors='replace')}"
