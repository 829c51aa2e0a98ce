"""A rate limiter that knows the claims of a test."""

from inferd.scheduling.rate_limiter import RateLimiter


def registered(*claims, limits=()):
    """Return a limiter that knows these claims."""
    limiter = RateLimiter(limits)
    for claim in claims:
        limiter.register(claim)
    return limiter
