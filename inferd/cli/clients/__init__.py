"""Small clients of the protocol, for the command line."""
