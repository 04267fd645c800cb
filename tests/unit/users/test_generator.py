"""The generator's own limits are told, and never called the service's."""

import resource

import pytest

from loadtest_trio.users.generator import limits_reached, ports_warning, raise_descriptor_limit
from loadtest_trio.users.target import process_metrics, stats_of


@pytest.mark.parametrize(
    ("generator", "errors", "said"),
    [
        ({"cpu_percent": 50.0, "lag_p95_ms": 3.0}, {}, ""),
        ({"cpu_percent": 97.0, "lag_p95_ms": 3.0}, {}, "CPU"),
        ({"cpu_percent": 50.0, "lag_p95_ms": 250.0}, {}, "lag"),
        ({"cpu_percent": None, "lag_p95_ms": None}, {}, ""),
        ({"cpu_percent": 50.0}, {"GET /: no ports": 3}, "no ports"),
        ({"cpu_percent": 50.0}, {"GET /: no descriptors": 3}, "no descriptors"),
        ({"cpu_percent": 50.0}, {"GET /: timeout": 3}, ""),
    ],
)
def test_why_the_generator_was_the_limit(
    generator: dict[str, float], errors: dict[str, int], said: str
) -> None:
    reasons = limits_reached(generator, errors)
    assert bool(reasons) is bool(said)
    assert said in "".join(reasons)


def test_too_few_descriptors_say_what_to_set() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert raise_descriptor_limit(10) == ""
        if before[1] != resource.RLIM_INFINITY:
            assert f"ulimit -n {before[1] + 164}" in raise_descriptor_limit(before[1] + 100)
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1], "raised as far as allowed"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_source_ports_say_what_to_set() -> None:
    assert ports_warning(10_000, "h:80", "32768\t60999\n") == ""
    assert "28,232" in ports_warning(30_000, "h:80", "32768\t60999\n")
    assert ports_warning(30_000, "h:80", "") == ""


def test_the_targets_process_is_read_from_prometheus_text() -> None:
    text = "# TYPE process_open_fds gauge\nprocess_open_fds 12\nother 3\nprocess_cpu_seconds_total 4.5\n"
    assert process_metrics(text) == {"process_open_fds": 12.0, "process_cpu_seconds_total": 4.5}
    assert process_metrics("<html>") == {}
    assert process_metrics("process_open_fds NaN\nprocess_cpu_seconds_total +Inf\n") == {}


def test_stats_keep_numbers_only() -> None:
    body = b'{"queued": 3, "by_status": {"running": 2, "note": "x"}, "name": "q", "list": [1]}'
    assert stats_of(body) == {"queued": 3, "by_status": {"running": 2}}
    assert stats_of(b"no json") == {}
