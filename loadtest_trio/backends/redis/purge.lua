#!lua flags=allow-oom
-- ARGV: consumer, move number, then the dead records to delete; none: all
-- Reply: books, messages removed from the dead list for good.

local function purge()
  local purged = 0
  if #ARGV == 2 then
    purged = redis.call('LLEN', DEAD)
    redis.call('UNLINK', DEAD)
  end
  for i = 3, #ARGV do
    purged = purged + redis.call('LREM', DEAD, 1, ARGV[i])
  end
  count('purged', purged)
  return purged
end

local answer = answer_to('move', ARGV[2]) or keep_answer('move', ARGV[2], purge())
return {books(), answer}
