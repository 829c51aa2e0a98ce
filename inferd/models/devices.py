"""Which GPUs this process may use, found without initialising a driver."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_DEVICE_NODE = re.compile(r"nvidia\d+")


def gpu_count(environ: Mapping[str, str], device_directory: Path = Path("/dev")) -> int:
    """
    Return the number of NVIDIA GPUs that are visible.

    Args:
        environ: ``CUDA_VISIBLE_DEVICES`` in it narrows the count.
        device_directory: Where the driver's device nodes are.
    """
    nodes = sum(1 for name in os.listdir(device_directory) if _DEVICE_NODE.fullmatch(name))
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return nodes
    named = [device for device in visible.split(",") if device.strip() not in ("", "-1")]
    return min(nodes, len(named))
