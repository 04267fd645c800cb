#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: books, queued, in flight, delayed, dead, consumers: all of one instant.

open_books()
return {
  books(),
  redis.call('LLEN', QUEUE),
  in_flight(),
  redis.call('ZCARD', RETRY),
  redis.call('LLEN', DEAD),
  redis.call('ZCARD', CONSUMERS),
}
