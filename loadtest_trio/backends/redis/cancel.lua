#!lua flags=allow-oom
-- ARGV: consumer, cancellation number, job id...
-- Reply: books, one character a job: "1" cancelled, "0" it had ended, "?" unknown.
-- A job that waits somewhere stays there as a ghost (see jobs.lua). One that runs is taken out of its consumer's
-- in-flight record: its settlement will be stale, and the consumer notices that it is gone.

local PLACES = {q = 'queue', w = 'lane', t = 'retry'}
local time = clock()

local function take_from_worker(place)
  local consumer, token = string.match(place, '^(%S+) (%S+)$')
  local inflight = inflight_of(consumer)
  local element = redis.call('HGET', inflight, token)
  if not element then return false end
  redis.call('HDEL', inflight, token)
  redis.call('HDEL', DELIVERIES, element)
  return true
end

local function cancel(id)
  local job = load_job(id)
  if not job then return '?' end
  local status, place = job.status, PLACES[job.status]
  if status == 'r' then
    if not take_from_worker(job.place) then return '0' end
    end_job(job, 'c', time, '-')
  elseif place then
    add('gone_' .. place, 1)
    end_job(job, 'C', time, '-')
  else
    return '0'
  end
  add('cancelled', 1)
  if status ~= 'w' then leave_lane(job) end
  return '1'
end

local function cancel_all()
  local answer = {}
  for i = 3, #ARGV do answer[#answer + 1] = cancel(ARGV[i]) end
  write_gathered()
  return table.concat(answer)
end

local answer = answer_to('cancellation', ARGV[2]) or keep_answer('cancellation', ARGV[2], cancel_all())
return {books(), answer}
