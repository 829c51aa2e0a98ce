"""Tests of adding up samples and of stability."""

import pytest

from inferd.cli.benchmark.sample import Sample, Window, is_stable, latency, merged


def sample(count=1, latency_ns=1000, elapsed_ns=1_000_000_000, failures=None):
    """Return a sample of equal requests."""
    made = Sample(elapsed_ns=elapsed_ns, failures=failures or {}, responses=count)
    for _ in range(count):
        made.latencies.record(latency_ns)
    return made


def test_rates_of_several_processes_add_up():
    """Two processes with 10 requests a second each make 20."""
    window = Window(2)
    window.add(0, sample(10))
    window.add(1, sample(10))
    assert (window.sample.rate, window.sample.response_rate) == (20.0, 20.0)
    assert window.sample.answered == 20


@pytest.mark.parametrize(("elapsed", "over"), [(999, False), (1000, True)])
def test_window_ends_when_every_process_measured_it(elapsed, over):
    """A window ends exactly at its length, of the process that is behind."""
    window = Window(2)
    window.add(0, sample(elapsed_ns=5000))
    window.add(1, sample(elapsed_ns=elapsed))
    assert window.is_over(1000) is over


def test_window_without_a_finished_request_goes_on():
    """A slow model's window lasts until its first request is finished."""
    window = Window(1)
    window.add(0, sample(0))
    assert not window.is_over(1000)
    window.add(0, sample(0, failures={"no": 1}))
    assert window.is_over(1000)


@pytest.mark.parametrize(("finished", "over"), [(19, False), (20, True)])
def test_window_of_a_number_of_requests(finished, over):
    """A window of a count ends with exactly so many requests, failed ones among them."""
    window = Window(1)
    window.add(0, sample(finished - 1, elapsed_ns=1, failures={"no": 1}))
    assert window.is_over(0, 20) is over


def test_merged_windows_follow_each_other():
    """Three windows are one of three times the length; failures add up by message."""
    whole = merged([sample(5, failures={"a": 1}), sample(5, failures={"a": 1, "b": 1}), sample(5)])
    assert (whole.rate, whole.failed, whole.failures) == (5.0, 3, {"a": 2, "b": 1})


def test_nothing_measured_has_no_rate():
    """Without time there are no rates."""
    assert (Sample().rate, Sample().response_rate) == (0.0, 0.0)


@pytest.mark.parametrize(("middle", "stable"), [(95, True), (91, True), (109, True), (80, False)])
def test_stability_of_the_throughput(middle, stable):
    """Three windows are stable when the largest is little above the smallest."""
    windows = [sample(100), sample(middle), sample(100)]
    assert is_stable(windows, 10, None) is stable


def test_stability_at_the_boundary():
    """Exactly the percentage above the smallest is still stable."""
    assert is_stable([sample(100), sample(105), sample(150)], 50, None)
    assert not is_stable([sample(100), sample(105), sample(151)], 50, None)


def test_stability_of_the_latency():
    """Equal throughput with rising latency is not stable."""
    windows = [sample(10, latency_ns=ns) for ns in (1000, 2000, 4000)]
    assert not is_stable(windows, 10, 50.0)
    assert not is_stable(windows, 10, None)


def test_two_windows_or_empty_ones_are_never_stable():
    """Stability needs three windows with answers."""
    assert not is_stable([sample(), sample()], 10, None)
    assert not is_stable([sample(), sample(0), sample()], 10, None)
    assert is_stable([sample(99), sample(), sample(), sample()], 10, None)


def test_latency_is_mean_or_percentile():
    """What counts as the latency is the mean, unless a percentile is asked for."""
    measured = sample(3, latency_ns=100)
    measured.latencies.record(200)
    assert latency(measured, None) == 125.0
    assert latency(measured, 50.0) == 100
