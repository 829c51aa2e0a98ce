"""Where models come from: local folders, what is in them, and what changed."""
