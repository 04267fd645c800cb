#!lua flags=allow-oom
-- ARGV: consumer (who reaps), heartbeat time to live (ms), deliveries at most, messages to move at most,
-- number of its latest claim
-- Reply: books, consumers removed, messages returned to the queue, poison: owner, token, element and
-- deliveries of each message that was delivered too often.
-- Poison stays where it is: bury.lua moves it once the caller has written its record, and a caller
-- that dies in between leaves it to the next reap.

local LETTERS = 1000 -- that one call looks at
local AHEAD = 1000 -- consumers of the future that one call brings back

local time, ttl = clock(), tonumber(ARGV[2])
local most, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
if retired(ARGV[5]) then return {books(), 0, 0, {}} end
beat(time, ttl)
local removed, returned, poison = 0, 0, {}

local function reap(owner)
  local inflight = inflight_of(owner)
  local tokens = redis.call('HKEYS', inflight)
  local judged = {} -- equal elements share one count, and this is one more failed delivery of each
  table.sort(tokens)
  for i = #tokens, math.max(1, #tokens - budget + 1), -1 do
    local element = redis.call('HGET', inflight, tokens[i])
    local deliveries = judged[element] or (redis.call('HGET', DELIVERIES, element) or 0) + 1
    judged[element] = deliveries
    if deliveries < most then
      redis.call('HSET', DELIVERIES, element, deliveries)
      returned = returned + give_back(owner, {tokens[i]}, true)
    else
      for _, value in ipairs({owner, tokens[i], element, deliveries}) do poison[#poison + 1] = value end
    end
    budget = budget - 1
  end
  if redis.call('EXISTS', inflight) == 0 then removed = removed + redis.call('ZREM', CONSUMERS, owner) end
end

-- A dead job's letter goes when its record has expired: else the dead would fill the queue in the end. Letters of
-- other messages stay, and those behind them are looked at all the same.
-- Where more of them lie there than one call looks at, the next call goes on behind them.
local function purge_expired()
  local kept_before = tonumber(redis.call('HGET', LEDGER, 'letters_kept') or 0) or 0
  local kept, purged, work = kept_before, 0, 0
  while work < LETTERS do
    local letter = redis.call('LINDEX', DEAD, -1 - kept)
    local id = letter and job_id(letter)
    if not letter or id and load_job(id) then
      kept = 0 -- the next call begins anew
      break
    end
    if id then
      redis.call('LREM', DEAD, -1, letter)
      purged = purged + 1
      work = work + 1 + kept / 100 -- it is looked for from the end of the list
    else
      kept = kept + 1
      work = work + 1
    end
  end
  count('purged', purged)
  if kept ~= kept_before then redis.call('HSET', LEDGER, 'letters_kept', kept) end
end

-- A sign of life from the future is from before the clock was set back, and would keep a dead consumer for as long.
local function bring_back()
  local ahead = redis.call('ZRANGE', CONSUMERS, '(' .. time + ttl, '+inf', 'BYSCORE', 'LIMIT', 0, AHEAD)
  for _, owner in ipairs(ahead) do redis.call('ZADD', CONSUMERS, time, owner) end
end

bring_back()
if time - (redis.call('HGET', LEDGER, 'serving_since') or time) >= ttl then
  for _, owner in ipairs(redis.call('ZRANGE', CONSUMERS, '-inf', '(' .. time - ttl, 'BYSCORE')) do
    if budget > 0 then reap(owner) end
  end
end
purge_expired()
return {books(), removed, returned, poison}
