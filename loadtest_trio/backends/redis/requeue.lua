#!lua
-- ARGV: consumer, move number, then dead record and queue element of each message
-- Reply: books, messages moved. A record that is not on the dead list (any more) moves nothing.
-- A job enters its client's lane at the end.

local function put(record, element)
  local id = job_id(record)
  local job = id and load_job(id)
  if not job or job.body ~= 'd' .. record then return push(element) end
  add_type('dead', read_head(job).type, -1)
  job.started, job.ended, job.attempts, job.body = 0, 0, 0, '-'
  job.status = enter_lane(job, element)
  save_job(job)
end

local function move()
  local moved = 0
  for i = 3, #ARGV, 2 do
    -- From the tail, where the oldest records are: they are the ones that are requeued in bulk.
    if redis.call('LREM', DEAD, -1, ARGV[i]) == 1 then
      put(ARGV[i], ARGV[i + 1])
      moved = moved + 1
    end
  end
  write_gathered()
  return moved
end

local answer = answer_to('move', ARGV[2]) or keep_answer('move', ARGV[2], move())
return {books(), answer}
