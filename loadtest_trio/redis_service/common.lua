-- Put before every script by scripts.py: the key layout and the steps that several scripts share.
--
-- A message is in exactly one place at any time, and every script moves it and counts the move in one
-- atomic step:
--
--                       claim                        settle: processed, missed
--   enqueue --> queue ----------> inflight:<consumer> ------------------------> (counted in the ledger)
--                 ^ ^--- release, reap ---'   |  '---- settle: dead, bury ----> dead --> purge
--                 '------- retry <------------'                                   |
--                 '--------------------------- requeue ---------------------------'
--
-- KEYS are the same eight for every script. Keys of *other* consumers' in-flight records are built here
-- by name and therefore not declared in KEYS: that is safe on a cluster because the hash tag {NAME}
-- puts all of them into the slot of the declared ones.

local QUEUE, INFLIGHT, CONSUMERS, RETRY, DEAD, DELIVERIES, LEDGER, SESSION = unpack(KEYS)
local CONSUMER = ARGV[1]
local COUNTERS = {'created', 'processed', 'missed', 'purged', 'lost'}
local SESSION_MS = 24 * 3600 * 1000 -- longer than any repeat of a call can be under way

-- Milliseconds since 1970 by the server's clock, the only clock that every consumer shares.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function inflight_of(consumer)
  return string.sub(QUEUE, 1, -6) .. 'inflight:' .. consumer -- QUEUE is {NAME}:queue
end

-- The books: epoch and counters. The epoch names this life of the data: who remembers another one
-- knows that Redis has lost its memory in between.
local function books()
  local found = redis.call('HMGET', LEDGER, 'epoch', unpack(COUNTERS))
  if not found[1] then
    local time = redis.call('TIME')
    found[1] = time[1] .. '.' .. time[2]
    redis.call('HSET', LEDGER, 'epoch', found[1])
  end
  return found
end

local function count(counter, n)
  if n ~= 0 then redis.call('HINCRBY', LEDGER, counter, n) end
end

-- Sign of life of this consumer. When nobody at all was heard for half the time to live, Redis itself
-- was away, and everybody gets a full time to live to come back before reap.lua judges them.
local function beat(time, ttl)
  local latest = redis.call('ZRANGE', CONSUMERS, 0, 0, 'REV', 'WITHSCORES')[2]
  if not latest or time - latest > ttl / 2 then
    redis.call('HSET', LEDGER, 'serving_since', time)
  end
  redis.call('ZADD', CONSUMERS, time, CONSUMER)
end

-- Move claimed messages back to the out end of the queue, the earliest claimed next to go out.
-- Tokens have fixed width, so their order as strings is the order in which they were claimed.
local function give_back(inflight, tokens)
  table.sort(tokens)
  local moved = 0
  for i = #tokens, 1, -1 do
    local element = redis.call('HGET', inflight, tokens[i])
    if element then
      redis.call('HDEL', inflight, tokens[i])
      redis.call('RPUSH', QUEUE, element)
      moved = moved + 1
    end
  end
  return moved
end

-- Messages in all in-flight records: whoever claims is registered, until its record is empty.
local function in_flight()
  local sum = 0
  for _, consumer in ipairs(redis.call('ZRANGE', CONSUMERS, 0, -1)) do
    sum = sum + redis.call('HLEN', inflight_of(consumer))
  end
  return sum
end

-- Tokens in this consumer's record out of claims up to the given one. The bound makes a call harmless
-- that arrives late, out of a connection that was given up: it cannot touch what was claimed since.
local function claimed_until(number)
  local tokens = {}
  for _, token in ipairs(redis.call('HKEYS', INFLIGHT)) do
    if string.sub(token, 1, #number) <= number then tokens[#tokens + 1] = token end
  end
  return tokens
end
