-- Put before every script by scripts.py: the key layout, the ledger, numbered calls and signs of life.
--
-- A message is in exactly one place at any time, and every script moves it and counts the move in one
-- atomic step:
--
--                       claim                        settle: processed, missed
--   enqueue --> queue ----------> inflight:<consumer> ------------------------> (counted in the ledger)
--   submit -----^ ^ ^--- release, reap ---'   |  '---- settle: dead, bury ----> dead --> purge, reap
--     '-> lane ---' '----- retry <------------'                                   |
--          ^      ^--------------------------- requeue ---------------------------'
--          '------'
--
-- Jobs are messages with a record, which the same scripts change: see jobs.lua.
--
-- KEYS are the same eight for every script. Keys of *other* consumers' in-flight records, and of epochs
-- that are over, are built here by name and therefore not declared in KEYS: that is safe on a cluster
-- because the hash tag {NAME} puts all of them into the slot of the declared ones.

local QUEUE, INFLIGHT, CONSUMERS, RETRY, DEAD, DELIVERIES, LEDGER, SESSION = unpack(KEYS)
local CONSUMER = ARGV[1]
local COUNTERS = {'created', 'processed', 'missed', 'purged', 'lost', 'cancelled'}
local SESSION_MS = 24 * 3600 * 1000 -- longer than any repeat of a call can be under way

-- Milliseconds since 1970 by the server's clock, the only clock that every consumer shares.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local PREFIX = string.sub(QUEUE, 1, -6) -- QUEUE is {NAME}:queue

local function key(name)
  return PREFIX .. name
end

local function inflight_of(consumer)
  return key('inflight:' .. consumer)
end

-- What Redis knew of an epoch that is over; see repair.lua.
local function past_of(epoch)
  return key('past:' .. epoch)
end

-- The epoch names one life of the server: each begins a new one, so that whoever remembers another knows
-- that Redis may have lost its memory in between. What `created` was at its beginning is written down
-- before anything is added, hence no later message can hide that earlier ones are missing. The server's
-- run_id tells its lives apart: it is never saved, and a replica has its own. To ask for it costs some
-- 30 µs, so claim and settle do without: they create nothing.
local function open_books()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
  local life, epoch, past, created = unpack(redis.call('HMGET', LEDGER, 'life', 'epoch', 'past', 'created'))
  if epoch and life == run_id then return end
  if epoch then
    if past then redis.call('PEXPIRE', past_of(past), SESSION_MS) end
    redis.call('HSET', past_of(epoch), 'kept', created or 0, 'created', created or 0)
    redis.call('HSET', LEDGER, 'past', epoch)
  end
  local time = redis.call('TIME')
  redis.call('HSET', LEDGER, 'life', run_id, 'epoch', time[1] .. '.' .. time[2])
end

-- The books: epoch and counters.
local function books()
  local found = redis.call('HMGET', LEDGER, 'epoch', unpack(COUNTERS))
  if found[1] then return found end
  open_books()
  return redis.call('HMGET', LEDGER, 'epoch', unpack(COUNTERS))
end

local function count(counter, n)
  if n ~= 0 then redis.call('HINCRBY', LEDGER, counter, n) end
end

-- Numbered calls. The number seen last is a repeat after a lost reply and gets the same answer; a lower
-- one comes out of a connection that was given up long ago: nobody would hear of what it does.
local OUTDATED = {err = 'ERR outdated call: do two processes use the same consumer name?'}

local function answer_to(kind, number)
  local last, answer = unpack(redis.call('HMGET', SESSION, kind, kind .. '_answer'))
  if not last or tonumber(number) > tonumber(last) then return nil end
  if number ~= last then error(OUTDATED) end
  return answer
end

local function keep_answer(kind, number, answer)
  redis.call('HSET', SESSION, kind, number, kind .. '_answer', answer)
  redis.call('PEXPIRE', SESSION, SESSION_MS)
  return answer
end

-- Whether this consumer has left and not claimed again: given the number of its latest claim, which says
-- of a sign of life that arrives late on which side of the parting it was sent.
local function retired(latest_claim)
  local at = redis.call('HGET', SESSION, 'retired')
  return at and tonumber(latest_claim) <= tonumber(at)
end

-- Sign of life of this consumer. When nobody at all was heard for half the time to live, Redis itself
-- was away, and everybody gets a full time to live to come back before reap.lua judges them.
local function beat(time, ttl)
  -- A sign of life from the future is a stranger's, or from before the clock was set back.
  local latest = redis.call('ZRANGE', CONSUMERS, time, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')[2]
  if not latest or time - latest > ttl / 2 then
    redis.call('HSET', LEDGER, 'serving_since', time)
  end
  redis.call('ZADD', CONSUMERS, time, CONSUMER)
end
