#!lua
-- ARGV: consumer, batch number, element...
-- Reply: books, queue length.
-- A batch number that was seen before is a repeat after a lost reply: nothing is pushed again.
-- Without allow-oom on purpose: a full Redis refuses new messages and still lets old ones be worked off.

local last = redis.call('HGET', SESSION, 'batch')
if not last or tonumber(ARGV[2]) > tonumber(last) then
  redis.call('HSET', SESSION, 'batch', ARGV[2])
  redis.call('PEXPIRE', SESSION, SESSION_MS)
  redis.call('LPUSH', QUEUE, unpack(ARGV, 3))
  count('created', #ARGV - 2)
end
return {books(), redis.call('LLEN', QUEUE)}
