-- Put before every script, behind common.lua: jobs, which are messages with a record, and their lanes.
--
-- A job's element begins with {"job":true,"id":"<id>", and so does its dead record. Any other message of ours
-- begins with {"id", so its third byte tells whether there is anything to do here at all.
--
-- job:<id>        the record, one string (see below). It expires some time after the job has ended.
-- lane:<client>   the client's ordered jobs, of which at most one is active: on the queue, in work or waiting
--                 for its retry. A list: how many are active, then the elements of those that wait.
-- wide:<client>   the same for its unordered jobs, of which WIDE may be active: enough to keep workers busy,
--                 few enough to delay no other client.
-- client:<client> the ids of its latest jobs, newest first.
-- completed       the ids of ended jobs that wait for pull.lua, oldest first.
-- types           how many jobs of each type were submitted and ended.
--
-- Removing a cancelled job from the middle of the queue would take time in proportion to the queue. So it stays
-- there as a *ghost* until it comes out by itself; its record says so, and does not expire before. The ledger
-- counts the ghosts in each place (gone_...): they are counted as cancelled and as nothing else.
--
-- Why one string: a hash with a value of more than 64 bytes takes three times the memory.

local WIDE = 100
local LISTED = 1000        -- latest jobs of a client
local COMPLETED = 100000   -- ends that may wait to be pulled
local GHOSTS_A_STEP = 100
local PUSHED_A_CALL = 500  -- unpack() has a limit
local DAY_MS = 24 * 3600 * 1000

local tally, types, pushed = {}, {}, {}

local function add(counter, n)
  tally[counter] = (tally[counter] or 0) + n
end

local function add_type(what, kind, n)
  local field = what .. ':' .. kind
  types[field] = (types[field] or 0) + n
end

-- Put an element on the queue, at the latest when the script ends.
local function push(element)
  pushed[#pushed + 1] = element
end

local function write_pushed()
  for i = 1, #pushed, PUSHED_A_CALL do
    redis.call('LPUSH', QUEUE, unpack(pushed, i, math.min(#pushed, i + PUSHED_A_CALL - 1)))
  end
  pushed = {}
end

-- Write what has gathered: with one command a list or field, however many jobs the script moved.
local function write_gathered()
  write_pushed()
  for counter, n in pairs(tally) do count(counter, n) end
  for field, n in pairs(types) do redis.call('HINCRBY', key('types'), field, n) end
end

-- The id of the job that an element or a dead record is of, or nil.
local function job_id(text)
  if string.byte(text, 3) ~= 106 then return nil end -- 'j'
  return string.match(text, '^{"job":true,"id":"([^"\\]+)"')
end

-- A record is text of eleven lines, the last of which may contain line feeds:
--    1     status: q queued, w waiting in its lane, r running, t retrying, s succeeded, d dead, c cancelled;
--          of ghosts: C cancelled, G cancelled and still active in its lane
--    2-4   client, type, flags (o ordered or u unordered; p to be pulled, f free of the rate limit)
--    5-6   time to live after its end (ms), submitted (ms); lines 2 to 6 never change
--    7-10  started (ms), ended or due (ms), attempts, place (of a running job: consumer and token)
--   11     body: a letter and bytes: v result, f reference to a result, e error, d dead record, - nothing
local RECORD = '^(%a)(\n[^\n]*\n[^\n]*\n%a+\n%d+\n%d+)\n(%d+)\n(%d+)\n(%d+)\n([^\n]*)\n(.*)$'
local HEAD = '^\n([^\n]*)\n([^\n]*)\n(%a)(%a*)\n(%d+)'

local function load_job(id)
  local record = redis.pcall('GET', key('job:' .. id)) -- a stranger's key may hold something else
  if type(record) ~= 'string' then return nil end
  local job = {id = id}
  job.status, job.head, job.started, job.ended, job.attempts, job.place, job.body = string.match(record, RECORD)
  return job.status and job -- nil for what is not a record of ours
end

-- What never changes; not every step needs it.
local function read_head(job)
  if not job.client then
    job.client, job.type, job.order, job.flags, job.ttl = string.match(job.head, HEAD)
  end
  return job
end

local function record_of(job)
  return table.concat(
    {job.status .. job.head, job.started, job.ended, job.attempts, job.place, job.body}, '\n'
  )
end

local function save_job(job)
  redis.call('SET', key('job:' .. job.id), record_of(job))
end

local function save_ended(job)
  redis.call('SET', key('job:' .. job.id), record_of(job), 'PX', read_head(job).ttl)
end

local function lane_of(job)
  read_head(job)
  return key((job.order == 'o' and 'lane:' or 'wide:') .. job.client)
end

-- Put a job on the queue, or behind its client's others; returns its status.
local function enter_lane(job, element)
  local lane = lane_of(job)
  local active = tonumber(redis.call('LINDEX', lane, 0) or nil)
  if not active then
    redis.call('RPUSH', lane, 1)
    add('lanes', 1)
  elseif active < (job.order == 'o' and 1 or WIDE) then
    redis.call('LSET', lane, 0, active + 1)
  else
    redis.call('RPUSH', lane, element)
    add('waiting', 1)
    return 'w'
  end
  push(element)
  return 'q'
end

-- The ghost has come out of its place: nothing keeps its record any longer.
local function lay_ghost(job, place)
  add('gone_' .. place, -1)
  job.status = 'c'
  save_ended(job)
end

-- One that was active has ended: the next in its lane goes to the queue. Where many in a row were cancelled,
-- one of them goes there as a ghost, and the claim that meets it goes on from it.
local function leave_lane(job)
  local lane = lane_of(job)
  for step = 1, GHOSTS_A_STEP do
    local active, element = unpack(redis.call('LRANGE', lane, 0, 1))
    if not active then return end
    if not element then
      if tonumber(active) > 1 then return redis.call('LSET', lane, 0, active - 1) end
      redis.call('DEL', lane)
      return add('lanes', -1)
    end
    redis.call('LPOP', lane)
    redis.call('LSET', lane, 0, active)
    add('waiting', -1)
    local id = job_id(element)
    local following = id and load_job(id)
    local gone = following and following.status == 'C'
    if gone and step < GHOSTS_A_STEP then
      lay_ghost(following, 'lane')
    else
      if gone then
        add('gone_lane', -1)
        add('gone_queue', 1)
      end
      if following then
        following.status = gone and 'G' or 'q'
        save_job(following)
      end
      push(element)
      return
    end
  end
end

-- List a job under its client for as long as its record lives, from its end.
local function keep_listed(job)
  local list = key('client:' .. job.client)
  if redis.call('PEXPIRE', list, job.ttl) == 1 then return end
  redis.call('LPUSH', list, job.id) -- the list had expired while this job was not done
  redis.call('PEXPIRE', list, job.ttl)
end

local function offer_to_pull(job)
  local list = key('completed')
  if redis.call('RPUSH', list, job.id) > COMPLETED then redis.call('LPOP', list) end
  redis.call('PEXPIRE', list, job.ttl)
end

local WORDS = {s = 'succeeded', d = 'dead', c = 'cancelled', C = 'cancelled'}

-- A job that was active has reached a final status.
local function end_job(job, status, time, body)
  read_head(job)
  job.status, job.ended, job.place, job.body = status, time, '', body
  if status == 'C' then save_job(job) else save_ended(job) end
  keep_listed(job)
  if string.find(job.flags, 'p', 1, true) and WORDS[status] ~= 'cancelled' then offer_to_pull(job) end
  add_type(WORDS[status], job.type, 1)
end

-- The job, if this delivery is the one that its record knows of. Anybody may have pushed a copy of its element:
-- that is a message without a record.
local function running_job(id, place)
  local job = id and load_job(id)
  if job and job.status == 'r' and job.place == place then return job end
  return nil
end

-- A job comes off the queue: returns false for a ghost, which is not handed out.
local function start_job(id, place, time)
  local job = load_job(id)
  if not job then return true end
  if job.status == 'C' or job.status == 'G' then
    if job.status == 'G' then leave_lane(job) end
    lay_ghost(job, 'queue')
    return false
  end
  if job.status == 'q' then
    job.status, job.started, job.ended, job.place = 'r', time, 0, place
    job.attempts = job.attempts + 1
    save_job(job)
  end
  return true
end

-- A job's time for another attempt has come: returns false for a ghost, which does not go back to the queue.
local function resume_job(id)
  local job = load_job(id)
  if job and job.status == 'C' then
    lay_ghost(job, 'retry')
    return false
  end
  if job and job.status == 't' then
    job.status = 'q'
    save_job(job)
  end
  return true
end

-- A job that was handed out goes back to the queue. One that nobody had started was not attempted.
local function return_job(id, place, attempted)
  local job = running_job(id, place)
  if not job then return end
  job.status, job.place = 'q', ''
  if not attempted then job.attempts = math.max(0, job.attempts - 1) end
  save_job(job)
end
