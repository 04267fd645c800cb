#!lua flags=allow-oom
-- ARGV: consumer, number of its latest claim
-- Reply: books, messages returned to the queue.
-- The session outlives its consumer by minutes: a call that was given up may still be on its way.

local PARTING_MS = 10 * 60 * 1000

local moved = give_back(INFLIGHT, claimed_until(ARGV[2]))
if redis.call('EXISTS', INFLIGHT) == 0 then redis.call('ZREM', CONSUMERS, CONSUMER) end
redis.call('PEXPIRE', SESSION, PARTING_MS)
return {books(), moved}
