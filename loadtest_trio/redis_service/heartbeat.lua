#!lua flags=allow-oom
-- ARGV: consumer, heartbeat time to live (ms)
-- Reply: books, messages in flight at this consumer.

beat(clock(), tonumber(ARGV[2]))
return {books(), redis.call('HLEN', INFLIGHT)}
