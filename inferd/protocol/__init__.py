"""The Open Inference Protocol without I/O: datatypes, tensors, requests, responses and their encodings."""
