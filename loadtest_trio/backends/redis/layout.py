"""The Redis keys of one queue and what they hold; `docs/queue.md` is made from it."""

KEYS: dict[str, str] = {
    "{NAME}:queue": "LIST of waiting messages: LPUSH in, right end out.",
    "{NAME}:inflight:<consumer>": "HASH of what a consumer has claimed.",
    "{NAME}:consumers": "ZSET of heartbeats.",
    "{NAME}:retry": "ZSET of delayed messages by due time.",
    "{NAME}:dead": "LIST of dead letters.",
    "{NAME}:ledger": "HASH of the counters that the ledger is made of.",
    "{NAME}:deliveries": "HASH of how often a message was delivered to a consumer that died.",
    "{NAME}:session:<consumer>": "A consumer's last calls and their answers; expires after a day.",
    "{NAME}:past:<epoch>": "The counters of an earlier life of the server; expires after a day.",
    "{NAME}:job:<id>": "A job's record: status, times, result; expires after the job's end.",
    "{NAME}:lane:<client>": "LIST of a client's ordered jobs that wait for their turn.",
    "{NAME}:wide:<client>": "LIST of a client's unordered jobs that wait for their turn.",
    "{NAME}:client:<client>": "LIST of a client's latest job ids.",
    "{NAME}:bucket:<client>": "A client's token bucket; expires when it is full again.",
    "{NAME}:once:<client>:<key>": "The job first submitted under an idempotency key; expires.",
    "{NAME}:completed": "LIST of ended jobs to pull.",
    "{NAME}:pulled:<call>": "What a call was given; expires after ten minutes.",
    "{NAME}:types": "HASH of jobs submitted and ended by type.",
}
"""Each key pattern and its content."""
