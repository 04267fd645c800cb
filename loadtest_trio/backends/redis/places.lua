-- Put before every script, behind jobs.lua: where messages are, and the way back to the queue.

-- Move claimed messages back to the out end of the queue, the earliest claimed next to go out.
-- Tokens have fixed width, so their order as strings is the order in which they were claimed.
local function give_back(consumer, tokens, attempted)
  local inflight, moved = inflight_of(consumer), 0
  table.sort(tokens)
  for i = #tokens, 1, -1 do
    local element = redis.call('HGET', inflight, tokens[i])
    if element then
      redis.call('HDEL', inflight, tokens[i])
      redis.call('RPUSH', QUEUE, element)
      local id = job_id(element)
      if id then return_job(id, consumer .. ' ' .. tokens[i], attempted) end
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

-- The `created_at` of the next message to be claimed (Unix seconds); '' if there is none. Quotes within a JSON string
-- are escaped, so the pattern only matches the name of a field.
local function next_due()
  local element = redis.call('LINDEX', QUEUE, -1)
  return element and string.match(element, '[{,]%s*"created_at"%s*:%s*([%d.eE+-]+)') or ''
end

-- Messages in each place, cancelled jobs that still lie there left out, and when the next one was due.
local function places()
  local gone = redis.call('HMGET', LEDGER, 'gone_queue', 'gone_retry', 'gone_lane', 'waiting')
  for i = 1, 4 do gone[i] = tonumber(gone[i] or 0) end
  return redis.call('LLEN', QUEUE) - gone[1],
    in_flight(),
    redis.call('ZCARD', RETRY) - gone[2],
    redis.call('LLEN', DEAD),
    redis.call('ZCARD', CONSUMERS),
    gone[4] - gone[3],
    next_due()
end
