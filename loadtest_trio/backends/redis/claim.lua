#!lua flags=allow-oom
-- ARGV: consumer, heartbeat time to live (ms), claim number, limit, retries to promote at most, deliveries at most
-- Reply: books, server time of the claim (ms), elements.
-- Message i of claim c gets the token "c.i". The claim number last seen is a repeat after a lost reply
-- and gets the same batch again (nil for what was reaped meanwhile). An earlier number comes out of a
-- connection that was given up long ago: nobody would hear of what it claimed. Neither is a sign of life.
-- How often a message was delivered in vain stands in DELIVERIES; see reap.lua. It counts for all messages that
-- a dead consumer held, though one of them may have killed it. So the last delivery that a message has is made
-- alone: its consumer holds nothing else from before the claim until the settlement. Whatever kills the consumer
-- then, it is no neighbour. The price: while such a message is next, consumers finish what they hold first.

local MOST = 1000 -- tokens have four digits, and unpack() has a limit too
local TOKEN = '^%d+%.%d%d%d%d$'
local ROUNDS = 10 -- looks at the queue, where all that came out of it had been cancelled

local function token(number, i)
  return string.format('%s.%04d', number, i)
end

-- Due retries go to the out end: they have waited already. The earliest due goes out first.
local function promote(time, most)
  local due = redis.call('ZRANGE', RETRY, '-inf', time, 'BYSCORE', 'LIMIT', 0, most)
  for i = #due, 1, -1 do
    -- An element without a line break is a stranger's, and is delivered whole.
    local element = string.sub(due[i], (string.find(due[i], '\n', 1, true) or 0) + 1)
    local id = job_id(element)
    if not id or resume_job(id) then redis.call('RPUSH', QUEUE, element) end
    redis.call('ZREM', RETRY, due[i])
  end
end

local function on_its_last(element)
  return tonumber(redis.call('HGET', DELIVERIES, element) or 0) >= tonumber(ARGV[6]) - 1
end

-- How many of the next messages may be taken, given how many of them were taken just now.
local function allowed(limit, taken)
  if tonumber(ARGV[6]) < 2 or redis.call('EXISTS', DELIVERIES) == 0 then return limit end
  local held, last = taken, nil
  for _, name in ipairs(redis.call('HKEYS', INFLIGHT)) do
    -- What a stranger put there is never settled, and must not be waited for.
    if string.match(name, TOKEN) then held, last = held + 1, name end
  end
  if held == 1 and last and on_its_last(redis.call('HGET', INFLIGHT, last)) then return 0 end
  local next = redis.call('LRANGE', QUEUE, -limit, -1)
  for i = #next, 1, -1 do
    if on_its_last(next[i]) then
      local before = #next - i
      return (before == 0 and held == 0) and 1 or before
    end
  end
  return limit
end

-- Take messages off the queue. Cancelled jobs are left out, and others taken in their place.
local function take(time, limit)
  local taken, record = {}, {}
  for _ = 1, ROUNDS do
    local ghosts = 0
    write_pushed()
    local most = limit > #taken and allowed(limit - #taken, #taken) or 0
    for _, element in ipairs(redis.call('RPOP', QUEUE, most) or {}) do
      local name, id = token(ARGV[3], #taken + 1), job_id(element)
      if id and not start_job(id, CONSUMER .. ' ' .. name, time) then
        ghosts = ghosts + 1
        redis.call('HDEL', DELIVERIES, element)
      else
        taken[#taken + 1] = element
        record[#record + 1] = name
        record[#record + 1] = element
      end
    end
    if ghosts == 0 then break end
  end
  if #taken > 0 then redis.call('HSET', INFLIGHT, unpack(record)) end
  return taken
end

local function repeated(last)
  if ARGV[3] ~= last[1] then error(OUTDATED) end
  local elements = {}
  for i = 1, tonumber(last[2]) do elements[i] = redis.call('HGET', INFLIGHT, token(last[1], i)) end
  return {books(), tonumber(last[3]), elements}
end

local last = redis.call('HMGET', SESSION, 'claim', 'claimed', 'claimed_at')
if last[1] and tonumber(ARGV[3]) <= tonumber(last[1]) then return repeated(last) end

local time = clock()
beat(time, tonumber(ARGV[2]))
promote(time, tonumber(ARGV[5]))
local elements = take(time, math.min(tonumber(ARGV[4]), MOST))
write_gathered()
redis.call('HSET', SESSION, 'claim', ARGV[3], 'claimed', #elements, 'claimed_at', time)
redis.call('PEXPIRE', SESSION, SESSION_MS)
return {books(), time, elements}
