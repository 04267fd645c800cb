"""The sizes of batches that the queue is measured at."""

from benchmarks.redis_queue import Batches


def test_service_claims_as_many_messages_as_it_has_workers() -> None:
    """At 1,600 messages a second: a tenth of a second enqueued, 64 claimed at most, 30 ms settled."""
    assert Batches.of_service(10) == Batches(enqueue=160, claim=10, settle=48)
    assert Batches.of_service(64) == Batches(enqueue=160, claim=64, settle=48)
    assert Batches.of_service(512) == Batches(enqueue=160, claim=64, settle=48)
