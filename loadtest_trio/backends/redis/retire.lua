#!lua flags=allow-oom
-- ARGV: consumer, number of its latest claim
-- Reply: books, messages returned to the queue.
-- A call that was given up may still be on its way: the session outlives its consumer by minutes, so that
-- the claim of this number finds itself answered, and a sign of life is known to come from before.

local PARTING_MS = 10 * 60 * 1000

local moved = give_back(CONSUMER, claimed_until(ARGV[2]))
if redis.call('EXISTS', INFLIGHT) == 0 then redis.call('ZREM', CONSUMERS, CONSUMER) end
redis.call('HSET', SESSION, 'retired', ARGV[2])
local last = redis.call('HGET', SESSION, 'claim')
if not last or tonumber(ARGV[2]) >= tonumber(last) then
  redis.call('HSET', SESSION, 'claim', ARGV[2], 'claimed', 0, 'claimed_at', clock())
end
redis.call('PEXPIRE', SESSION, PARTING_MS)
return {books(), moved}
