#!lua
-- ARGV: consumer, move number, then dead record and queue element of each message
-- Reply: books, messages moved. A record that is not on the dead list (any more) moves nothing.

local function move()
  local moved = 0
  for i = 3, #ARGV, 2 do
    -- From the tail, where the oldest records are: they are the ones that are requeued in bulk.
    if redis.call('LREM', DEAD, -1, ARGV[i]) == 1 then
      redis.call('LPUSH', QUEUE, ARGV[i + 1])
      moved = moved + 1
    end
  end
  return moved
end

local answer = answer_to('move', ARGV[2]) or keep_answer('move', ARGV[2], move())
return {books(), answer}
