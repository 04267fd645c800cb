#!lua flags=allow-oom
-- ARGV: consumer, name of the call, jobs at most
-- Reply: books, then id and record of each. The same name gives the same jobs again, those left out whose records
-- have expired.

local REPEATABLE_MS = 10 * 60 * 1000
local ROUNDS = 10

local name, most = key('pulled:' .. ARGV[2]), tonumber(ARGV[3])

local function take()
  local ids = {}
  for _ = 1, ROUNDS do
    local popped = redis.call('LPOP', key('completed'), most - #ids) or {}
    for _, id in ipairs(popped) do
      if redis.call('EXISTS', key('job:' .. id)) == 1 then ids[#ids + 1] = id end
    end
    if #ids >= most or #popped == 0 then break end
  end
  if #ids > 0 then redis.call('SET', name, table.concat(ids, ' '), 'PX', REPEATABLE_MS) end
  return table.concat(ids, ' ')
end

local reply = {books()}
for id in string.gmatch(redis.call('GET', name) or take(), '%S+') do
  local record = redis.pcall('GET', key('job:' .. id))
  if type(record) == 'string' then
    reply[#reply + 1] = id
    reply[#reply + 1] = record
  end
end
return reply
