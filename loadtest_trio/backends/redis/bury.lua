#!lua flags=allow-oom
-- ARGV: consumer (who reaps), heartbeat time to live (ms), then owner, token and dead record of each
-- message. Reply: books, messages moved to the dead list, consumers removed.
-- An owner that came back to life since reap.lua keeps its messages.

local silent_since = clock() - ARGV[2]
local buried, removed = 0, 0
for i = 3, #ARGV, 3 do
  local owner, token, record = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local inflight = inflight_of(owner)
  local heard = redis.call('ZSCORE', CONSUMERS, owner)
  local element = redis.call('HGET', inflight, token)
  if element and heard and tonumber(heard) < silent_since then
    redis.call('HDEL', inflight, token)
    redis.call('HDEL', DELIVERIES, element)
    redis.call('LPUSH', DEAD, record)
    local job = running_job(job_id(element), owner .. ' ' .. token)
    if job then
      end_job(job, 'd', clock(), 'd' .. record)
      leave_lane(job)
    end
    buried = buried + 1
    if redis.call('EXISTS', inflight) == 0 then removed = removed + redis.call('ZREM', CONSUMERS, owner) end
  end
end
write_gathered()
return {books(), buried, removed}
