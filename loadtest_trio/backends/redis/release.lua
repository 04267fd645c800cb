#!lua flags=allow-oom
-- ARGV: consumer, token...
-- Reply: books, messages returned to the queue. Tokens not in flight (any more) are passed over.

return {books(), give_back(CONSUMER, {unpack(ARGV, 2)})}
