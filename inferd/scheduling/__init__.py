"""Queues and batches: pure decisions, and one asyncio shell per model version that acts on them."""
