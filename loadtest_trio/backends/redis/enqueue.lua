#!lua
-- ARGV: consumer, batch number, element...
-- Reply: books, queue length.
-- Without allow-oom on purpose: a full Redis refuses new messages and still lets old ones be worked off.

open_books()
if not answer_to('batch', ARGV[2]) then
  redis.call('LPUSH', QUEUE, unpack(ARGV, 3))
  count('created', #ARGV - 2)
  keep_answer('batch', ARGV[2], '')
end
return {books(), redis.call('LLEN', QUEUE)}
