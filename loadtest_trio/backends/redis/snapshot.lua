#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: books, queued, in flight, delayed, dead, consumers, waiting, when the next message was due: all of one
-- instant.

open_books()
-- A key of another type ends the start, and not the run that needs it first.
redis.call('HLEN', DELIVERIES)
redis.call('HLEN', key('types'))
redis.call('LLEN', key('completed'))
return {books(), places()}
