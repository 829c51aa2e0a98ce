"""inferd: NVIDIA Triton's protocols and model repositories in one asyncio process."""

__version__ = "0.1.0"
