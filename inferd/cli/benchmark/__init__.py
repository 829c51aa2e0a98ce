"""The parts of ``inferd bench``: requests, connections, load, processes, measurements, reports."""
