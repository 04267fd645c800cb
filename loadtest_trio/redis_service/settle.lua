#!lua flags=allow-oom
-- ARGV: consumer, settlement number, then token and action of each message. Actions:
--   "p" processed, "m" missed, "r<delay ms>\n<element>" retry later, "d<record>" to the dead list.
-- Reply: books, one character a message: "1" done, "0" stale (this consumer was reaped meanwhile).
-- A number seen last is a repeat after a lost reply and gets the same answer.

local last = redis.call('HMGET', SESSION, 'settlement', 'answer')
if last[1] and tonumber(ARGV[2]) <= tonumber(last[1]) then
  return {books(), ARGV[2] == last[1] and last[2] or ''}
end

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

local answer = {}
for i = 3, #ARGV, 2 do
  answer[#answer + 1] = settle(ARGV[i], ARGV[i + 1])
end
answer = table.concat(answer)
count('processed', settled.p)
count('missed', settled.m)
redis.call('HSET', SESSION, 'settlement', ARGV[2], 'answer', answer)
redis.call('PEXPIRE', SESSION, SESSION_MS)
return {books(), answer}
