"""The sample model repository: what its models are and how they are made."""
