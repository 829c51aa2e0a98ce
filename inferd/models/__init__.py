"""Models: configs, versions, their life cycle, and the registry of what is served."""
