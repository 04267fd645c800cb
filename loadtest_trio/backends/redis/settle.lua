#!lua flags=allow-oom
-- ARGV: consumer, settlement number, then token and action of each message. Actions:
--   "p" processed, "m" missed, "r<delay ms>\n<element>" retry later, "d<record>" to the dead list.
-- Reply: books, one character a message: "1" done, "0" stale (this consumer was reaped meanwhile).

local time = clock()
local some_reaped = redis.call('EXISTS', DELIVERIES) == 1
local settled = {p = 0, m = 0, r = 0, d = 0}

local function settle(token, action)
  local element = some_reaped and redis.call('HGET', INFLIGHT, token)
  if redis.call('HDEL', INFLIGHT, token) == 0 then return '0' end
  if element then redis.call('HDEL', DELIVERIES, element) end
  local kind = string.sub(action, 1, 1)
  settled[kind] = settled[kind] + 1
  if kind == 'r' then
    local newline = string.find(action, '\n', 1, true)
    -- Consumer and token keep equal elements apart: the members of a sorted set are unique.
    local member = CONSUMER .. ' ' .. token .. string.sub(action, newline)
    redis.call('ZADD', RETRY, time + string.sub(action, 2, newline - 1), member)
  elseif kind == 'd' then
    redis.call('LPUSH', DEAD, string.sub(action, 2))
  end
  return '1'
end

local function settle_all()
  local answer = {}
  for i = 3, #ARGV, 2 do
    answer[#answer + 1] = settle(ARGV[i], ARGV[i + 1])
  end
  count('processed', settled.p)
  count('missed', settled.m)
  return table.concat(answer)
end

local answer = answer_to('settlement', ARGV[2]) or keep_answer('settlement', ARGV[2], settle_all())
return {books(), answer}
