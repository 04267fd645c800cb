#!lua flags=allow-oom
-- ARGV: consumer (who reaps), heartbeat time to live (ms), deliveries at most, messages to move at most,
-- number of its latest claim
-- Reply: books, consumers removed, messages returned to the queue, poison: owner, token, element and
-- deliveries of each message that was delivered too often.
-- Poison stays where it is: bury.lua moves it once the caller has written its record, and a caller
-- that dies in between leaves it to the next reap.

local LETTERS = 1000 -- that one call looks at

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
local function purge_expired()
  local purged, kept = 0, 0
  while purged + kept < LETTERS do
    local letter = redis.call('LINDEX', DEAD, -1 - kept)
    local id = letter and job_id(letter)
    if not letter or id and redis.call('EXISTS', key('job:' .. id)) == 1 then break end
    if id then
      redis.call('LREM', DEAD, -1, letter)
      purged = purged + 1
    else
      kept = kept + 1
    end
  end
  count('purged', purged)
end

if time - (redis.call('HGET', LEDGER, 'serving_since') or time) >= ttl then
  for _, owner in ipairs(redis.call('ZRANGE', CONSUMERS, '-inf', '(' .. time - ttl, 'BYSCORE')) do
    if budget > 0 then reap(owner) end
  end
end
purge_expired()
return {books(), removed, returned, poison}
