"""Runs curl, so that HTTP is also spoken by a client that is not Python."""

import subprocess

from plain_http import Reply


def run_curl(address: str, path: str, *arguments: str, body: bytes | None = None) -> Reply:
    """
    Return the answer curl gets.

    Args:
        address: ``host:port``.
        path: The path and query.
        arguments: More arguments of curl's.
        body: What to post; nothing is posted for ``None``.
    """
    data = ["--data-binary", "@-"] if body is not None else []
    done = subprocess.run(
        ["curl", "-s", "-i", "-H", "Expect:", *arguments, *data, f"http://{address}{path}"],
        input=body or b"",
        capture_output=True,
        timeout=30,
        check=True,
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    return Reply(int(first.split()[1]), headers, content)
