#!lua flags=allow-oom
-- ARGV: consumer, settlement number, then token and action of each message. Actions:
--   "p" processed, "m" missed, "r<delay ms>\n<element>" retry later, "d<record>" to the dead list.
-- An action of a job has "J<id>\n<length of the body>\n<body>" before it: what its record says from now on. The
-- body of a dead one is its dead record.
-- Reply: books, one character a message: "1" done, "0" stale (this consumer was reaped meanwhile).

local time = clock()
local some_reaped = redis.call('EXISTS', DELIVERIES) == 1
local settled = {p = 0, m = 0, r = 0, d = 0}

-- The job of an action and the plain action.
local function unwrap(token, action)
  local id, length, start = string.match(action, '^J([^\n]*)\n(%d+)\n()')
  local job = running_job(id, CONSUMER .. ' ' .. token)
  if job then job.note = string.sub(action, start, start + length - 1) end
  return job, string.sub(action, start + length)
end

local function settle_job(job, kind, action, due)
  if kind == 'r' then
    job.status, job.ended, job.place, job.body = 't', due, '', job.note
    return save_job(job)
  end
  end_job(job, kind == 'd' and 'd' or 's', time, kind == 'd' and action or job.note)
  leave_lane(job)
end

local function settle(token, action)
  local element = some_reaped and redis.call('HGET', INFLIGHT, token)
  if redis.call('HDEL', INFLIGHT, token) == 0 then return '0' end
  if element then redis.call('HDEL', DELIVERIES, element) end
  local job, due
  if string.byte(action) == 74 then job, action = unwrap(token, action) end -- 'J'
  local kind = string.sub(action, 1, 1)
  settled[kind] = settled[kind] + 1
  if kind == 'r' then
    local newline = string.find(action, '\n', 1, true)
    -- Consumer and token keep equal elements apart: the members of a sorted set are unique.
    local member = CONSUMER .. ' ' .. token .. string.sub(action, newline)
    due = time + string.sub(action, 2, newline - 1)
    redis.call('ZADD', RETRY, due, member)
  elseif kind == 'd' then
    redis.call('LPUSH', DEAD, string.sub(action, 2))
  end
  if job then settle_job(job, kind, action, due) end
  return '1'
end

local function settle_all()
  local answer = {}
  for i = 3, #ARGV, 2 do
    answer[#answer + 1] = settle(ARGV[i], ARGV[i + 1])
  end
  count('processed', settled.p)
  count('missed', settled.m)
  write_gathered()
  return table.concat(answer)
end

local answer = answer_to('settlement', ARGV[2]) or keep_answer('settlement', ARGV[2], settle_all())
return {books(), answer}
