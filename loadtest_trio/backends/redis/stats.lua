#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: what snapshot.lua replies, as one list; the time (ms), lanes, when the oldest job on the queue was submitted
-- (ms, 0 for none), ends to be pulled, how many jobs of each type were submitted and ended: all of one instant.

-- Of a lane the oldest job is the active one, so the oldest of all is on the queue, unless a lane's active one is in
-- work. Lanes take turns at both ends of the queue: some there stand for all.
local SAMPLE = 10

local function oldest_submitted()
  local oldest
  local function look(first, last)
    for _, element in ipairs(redis.call('LRANGE', QUEUE, first, last)) do
      local id = job_id(element)
      local job = id and load_job(id)
      local submitted = job and job.status == 'q' and tonumber(string.match(job.head, '%d+$'))
      if submitted then oldest = math.min(submitted, oldest or submitted) end
    end
  end
  look(-SAMPLE, -1)
  look(0, SAMPLE - 1)
  return oldest or 0
end

open_books()
return {
  {books(), places()},
  clock(),
  tonumber(redis.call('HGET', LEDGER, 'lanes') or 0),
  oldest_submitted(),
  redis.call('LLEN', key('completed')),
  redis.call('HGETALL', key('types')),
}
