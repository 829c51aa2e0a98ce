"""The Open Inference Protocol without I/O: datatypes, tensors, messages and their encodings."""
