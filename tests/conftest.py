"""Settings for every test."""

import os

import hypothesis

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=100)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "fast")
