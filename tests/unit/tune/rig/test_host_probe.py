"""The probe of the host's speed on the real machine."""

from loadtest_trio.tune.rig.host_probe import HostProbe


def test_probe_reads_the_core() -> None:
    """A reading takes CPU time of its own thread, and wall time at least as long."""
    probe = HostProbe()
    first, second = probe.read(), probe.read()
    assert 0.05 < first.speed < 20
    assert 2 < first.cpu_ms <= 1.05 * first.wall_ms
    assert 0 <= second.steal < 1
    assert second.mhz is None or second.mhz > 100
