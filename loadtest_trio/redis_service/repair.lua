#!lua flags=allow-oom
-- ARGV: consumer, then the books that the caller remembers: epoch and counters
-- Reply: books as repaired, messages newly counted as lost, 1 if the caller is the first to tell.
--
-- Two ways to lose data. Redis came back *empty*: the epoch is a new one. Redis came back with a
-- *past* of its own (a snapshot, a replica that lagged): the epoch is the same, `created` went back.
-- In the first case the remembered counters are added to those of the new life; in the second only
-- `created` is restored, since what was settled after that past is waiting again and will be counted
-- again. Either way what then lacks in the ledger is what was lost.
--
-- Each process remembers; the first to come repairs. What it added is kept (`past_...`), so that one
-- that remembers later books of the same past adds only the difference, and none adds twice.

local remembered = {epoch = ARGV[2]}
for i, counter in ipairs(COUNTERS) do remembered[counter] = tonumber(ARGV[i + 2]) end

local function number(field)
  return tonumber(redis.call('HGET', LEDGER, field) or 0)
end

local function gap()
  local accounted = redis.call('LLEN', QUEUE) + redis.call('ZCARD', RETRY) + redis.call('LLEN', DEAD)
  for i = 2, #COUNTERS do accounted = accounted + number(COUNTERS[i]) end
  return number('created') - accounted - in_flight()
end

local function add_lost(n, first)
  count('lost', n)
  return {books(), n, first and 1 or 0}
end

if books()[1] == remembered.epoch then
  if number('created') >= remembered.created then return add_lost(0) end
  redis.call('HSET', LEDGER, 'created', remembered.created)
  return add_lost(math.max(0, gap()), true)
end
-- The life before this one is the one that the first detector remembers.
local first = redis.call('HSETNX', LEDGER, 'past_epoch', remembered.epoch) == 1
local past = redis.call('HGET', LEDGER, 'past_epoch')
if past ~= remembered.epoch then return add_lost(0) end
for _, counter in ipairs(COUNTERS) do
  local news = math.max(0, remembered[counter] - number('past_' .. counter))
  count(counter, news)
  redis.call('HINCRBY', LEDGER, 'past_' .. counter, news)
end
-- Later books may also say that more was done than the first detector knew: then less was lost.
local lost = math.max(gap(), -number('past_gap'))
redis.call('HINCRBY', LEDGER, 'past_gap', lost)
return add_lost(lost, first)
