#!lua flags=allow-oom
-- ARGV: consumer, repair number, then the books that the caller remembers: epoch and counters
-- Reply: books as repaired, messages newly booked as lost, 1 if the caller knew of more than Redis kept.
--
-- A new epoch: the server has begun another life (see open_books). It came back with
-- everything:       it had `created` at least as high as anybody remembers. Nothing to do.
-- a past:           a snapshot, a replica that lagged. `created` is restored, and only that: what was
--                   settled after that past is waiting again and will be counted again.
-- nothing at all:   all counters are restored.
-- What the restored counters say was created and do not account for is lost.
--
-- Each process remembers, one less and another more, and none must add twice. So what is known of a past
-- epoch is kept (PAST: its counters, and in `kept` what `created` was when this life began), and each adds
-- only what it knows beyond that.

local function number(key, field)
  return tonumber(redis.call('HGET', key, field) or 0)
end

local function past_record(epoch)
  redis.call('HSETNX', LEDGER, 'past', epoch) -- Redis is empty, and this is the first to remember
  if redis.call('EXISTS', past_of(epoch)) == 1 then return past_of(epoch) end
  -- An epoch that Redis knows nothing of, since it began after the past that came back: counters run
  -- on from one epoch to the next and can be compared with those of that past.
  return past_of(redis.call('HGET', LEDGER, 'past'))
end

local function unaccounted(past)
  local sum = number(past, 'created')
  for i = 2, #COUNTERS do sum = sum - number(past, COUNTERS[i]) end
  return math.max(0, sum)
end

local function repair(epoch, remembered)
  if epoch == books()[1] then return '0 0' end
  local past = past_record(epoch)
  local kept = redis.call('HGET', past, 'kept')
  local before = unaccounted(past)
  for i, counter in ipairs(kept and {'created'} or COUNTERS) do
    local news = remembered[i] - number(past, counter)
    if news > 0 then
      count(counter, news)
      redis.call('HINCRBY', past, counter, news)
    end
  end
  -- Later books may also say that more was done than the first to come knew: then less was lost.
  local lost = unaccounted(past) - before
  count('lost', lost)
  return lost .. (kept and remembered[1] <= tonumber(kept) and ' 0' or ' 1')
end

local remembered = {}
for i = 1, #COUNTERS do remembered[i] = tonumber(ARGV[i + 3]) end
open_books()
local answer = answer_to('repair', ARGV[2]) or keep_answer('repair', ARGV[2], repair(ARGV[3], remembered))
local lost, less = string.match(answer, '(%S+) (%S+)')
return {books(), tonumber(lost), tonumber(less)}
