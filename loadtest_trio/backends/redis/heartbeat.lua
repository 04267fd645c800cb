#!lua flags=allow-oom
-- ARGV: consumer, heartbeat time to live (ms), number of its latest claim
-- Reply: books, messages in flight at this consumer.

open_books()
if not retired(ARGV[3]) then beat(clock(), tonumber(ARGV[2])) end
return {books(), redis.call('HLEN', INFLIGHT)}
