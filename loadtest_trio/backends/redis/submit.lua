#!lua
-- ARGV: consumer, batch number, tokens a minute, messages in the queue at most, time to live of a record
-- after its job's end (ms) and of an idempotency key (ms), then for each job: id, client, type, flags, element,
-- idempotency key with its client in front, and a fingerprint of the work ("" twice without a key).
-- Reply: books, one text: the time (ms), and a line for each job: verdict, tokens left, milliseconds until the
-- bucket is full, milliseconds until there is a token, the id of an earlier job. Verdicts: A accepted, R repeated,
-- K the key was used for other work, L rate limited, F the queue is full, X the id is taken.
-- Without allow-oom on purpose, as enqueue.lua.
--
-- A bucket is one number: the time at which it will be full again. Each token taken moves it on by the time in
-- which a token comes back; the key expires at that very time. (Source: ITU-T I.371, "generic cell rate
-- algorithm", which is a token bucket without a clock of its own.)

local WINDOW = 60000 -- a full bucket lasts for so many milliseconds
local SLACK = 0.01   -- of a millisecond: doubles near 2^41 are exact to 0.0003

local time = clock()
local per_minute, most, ttl, once_ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local interval = per_minute > 0 and WINDOW / per_minute
local held -- messages in the queue, looked up once

local function room()
  if not held then
    held = redis.call('LLEN', QUEUE) + redis.call('ZCARD', RETRY) + redis.call('LLEN', DEAD)
      + (redis.call('HGET', LEDGER, 'waiting') or 0)
  end
  return held < most
end

-- The bucket as one line and, when it has a token, what it is once that is taken.
local function look(full_at)
  local left = WINDOW - (full_at - time)
  local tokens = math.floor((left + SLACK) / interval)
  local wait = tokens > 0 and 0 or math.ceil(interval - left)
  return tokens, string.format('%d %d %d', math.max(0, tokens), math.ceil(full_at - time), math.max(0, wait))
end

local function bucket(client, limited)
  if not interval or not limited then return nil, 1, '0 0 0' end
  local full_at = math.max(time, tonumber(redis.call('GET', key('bucket:' .. client)) or 0) or 0)
  full_at = math.min(full_at, time + WINDOW) -- the server's clock may have been set back
  return full_at, look(full_at)
end

local function charge(client, full_at)
  full_at = full_at + interval
  redis.call('SET', key('bucket:' .. client), string.format('%.17g', full_at), 'PX', math.ceil(full_at - time))
  local _, line = look(full_at)
  return line
end

-- The first use of an idempotency key: verdict and id, or nil.
local function earlier(once, fingerprint)
  local id, work = string.match(redis.call('GET', key('once:' .. once)) or '', '^(%S+) (%S+)$')
  if not id then return nil end
  return (work == fingerprint and 'R ' or 'K '), id
end

local function list(id, client)
  local latest = key('client:' .. client)
  if redis.call('LPUSH', latest, id) > LISTED * 1.1 then redis.call('LTRIM', latest, 0, LISTED - 1) end
  redis.call('PEXPIRE', latest, ttl + DAY_MS) -- shortened when one of them ends
end

local function accept(job, element)
  local record = key('job:' .. job.id)
  if not redis.call('SET', record, record_of(job), 'NX') then return false end
  if enter_lane(job, element) == 'w' then
    job.status = 'w'
    save_job(job)
  end
  list(job.id, job.client)
  add_type('submitted', job.type, 1)
  return true
end

local function submit(id, client, kind, flags, element, once, fingerprint)
  local full_at, tokens, line = bucket(client, string.sub(flags, -1) ~= 'f')
  if once ~= '' then
    local verdict, first = earlier(once, fingerprint)
    if verdict then return verdict .. line .. ' ' .. first end
  end
  if tokens < 1 then return 'L ' .. line end
  if not room() then return 'F ' .. line end
  local job = {
    id = id, status = 'q', started = 0, ended = 0, attempts = 0, place = '', body = '-',
    client = client, type = kind, order = string.sub(flags, 1, 1),
    head = '\n' .. table.concat({client, kind, flags, ttl, time}, '\n'),
  }
  if not accept(job, element) then return 'X ' .. line end
  held = held + 1
  if once ~= '' then redis.call('SET', key('once:' .. once), id .. ' ' .. fingerprint, 'PX', once_ttl) end
  if full_at then line = charge(client, full_at) end
  return 'A ' .. line
end

local function submit_all()
  local lines, accepted = {time}, 0
  for i = 7, #ARGV, 7 do
    local line = submit(unpack(ARGV, i, i + 6))
    if string.byte(line) == 65 then accepted = accepted + 1 end -- 'A'
    lines[#lines + 1] = line
  end
  count('created', accepted)
  write_gathered()
  return table.concat(lines, '\n')
end

open_books()
local answer = answer_to('submission', ARGV[2]) or keep_answer('submission', ARGV[2], submit_all())
return {books(), answer}
