#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: what snapshot.lua replies, as one list; the time (ms), lanes, when the job that goes out next was submitted
-- (ms, 0 for none), ends to be pulled, how many jobs of each type were submitted and ended: all of one instant.

local function next_submitted()
  local id = job_id(redis.call('LINDEX', QUEUE, -1) or '')
  local job = id and load_job(id)
  return job and tonumber(string.match(job.head, '%d+$')) or 0
end

open_books()
return {
  {books(), places()},
  clock(),
  tonumber(redis.call('HGET', LEDGER, 'lanes') or 0),
  next_submitted(),
  redis.call('LLEN', key('completed')),
  redis.call('HGETALL', key('types')),
}
