#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: books, queue length. The books are why this is no plain LLEN: a scheduler that only looks, since
-- it believes that enough is under way, must notice too when that was lost.

open_books()
return {books(), redis.call('LLEN', QUEUE)}
