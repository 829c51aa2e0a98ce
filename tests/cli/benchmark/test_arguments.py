"""Tests of the options, as perf_analyzer has them."""

import argparse

import pytest

from inferd.cli.benchmark.arguments import add_bench_arguments

PERF_ANALYZER = """
--async --sync -v --max-threads 8 --service-kind triton --shared-memory none --serial-sequences
--concurrency-range 1:8:2 --request-distribution poisson --binary-search --latency-threshold 20
--measurement-interval 2000 --measurement-mode count_windows --measurement-request-count 30
--stability-percentage 50 --max-trials 4 --percentile 95 --request-count 10
--warmup-request-count 5 -b 2 --shape a:1,2 --shape b:3 --input-data zero --string-length 9
--string-data x --sequence-length 5 --sequence-length-variation 10 --sequence-id-range 1:99
--num-of-sequences 3 --input-tensor-format json --output-tensor-format json
--request-parameter k:1:int -H X-A:b -H X-C:d -f out.csv --verbose-csv --streaming
--grpc-compression-algorithm gzip --ssl-grpc-use-ssl --ssl-grpc-root-certifications-file root
--ssl-https-verify-peer 0 --ssl-https-verify-host 0
"""


def parsed(*words):
    """Return what a command line says."""
    parser = argparse.ArgumentParser()
    add_bench_arguments(parser)
    return parser.parse_args(words)


def test_command_line_of_perf_analyzer():
    """A command line that was written for perf_analyzer means the same."""
    found = parsed(*PERF_ANALYZER.split())
    assert found.concurrency_range.values() == [1, 3, 5, 7]
    assert (found.latency_threshold, found.percentile, found.binary_search) == (20, 95.0, True)
    assert (found.measurement_mode, found.measurement_request_count) == ("count_windows", 30)
    assert (found.sequence_id_range, found.num_of_sequences) == ((1, 99), 3)
    assert found.header == [("X-A", "b"), ("X-C", "d")]
    assert found.request_parameter == [("k", 1)]
    assert (found.tls_root, found.grpc_compression_algorithm) == ("root", "gzip")


def test_defaults_are_perf_analyzers():
    """Nothing said means what it means there."""
    found = parsed()
    assert (found.measurement_interval, found.stability_percentage) == (5000, 10)
    assert found.max_trials == 10
    assert (found.batch_size, found.string_length, found.num_of_sequences) == (1, 128, 4)
    assert (found.sequence_length_variation, found.sequence_id_range) == (20.0, (1, 0))
    assert (found.request_count, found.latency_threshold, found.percentile) == (0, 0, None)
    assert found.grpc_compression_algorithm == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shared-memory", "cuda"], "only (none)"),
        (["--service-kind", "torchserve"], "KServe v2"),
        (["--request-intervals", "f", "--request-rate-range", "1"], "not allowed with"),
        (["--measurement-mode", "x"], "invalid choice"),
    ],
)
def test_what_is_refused(words, message, capsys):
    """What cannot be done is refused with a reason, at once."""
    with pytest.raises(SystemExit, match="2"):
        parsed(*words)
    assert message in capsys.readouterr().err


def test_zero_data_has_a_short_form():
    """-z is what --input-data zero is."""
    assert parsed("-z").input_data == parsed("--input-data", "zero").input_data == ["zero"]
