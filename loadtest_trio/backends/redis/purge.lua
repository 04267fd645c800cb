#!lua flags=allow-oom
-- ARGV: consumer, move number
-- Reply: books, messages removed from the dead list for good.

local function purge()
  local purged = redis.call('LLEN', DEAD)
  redis.call('UNLINK', DEAD)
  count('purged', purged)
  return purged
end

local answer = answer_to('move', ARGV[2]) or keep_answer('move', ARGV[2], purge())
return {books(), answer}
