#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: what snapshot.lua replies, as one list; the time (ms), lanes, ends to be pulled, how many jobs of each type
-- were submitted and ended: all of one instant.

open_books()
return {
  {books(), places()},
  clock(),
  tonumber(redis.call('HGET', LEDGER, 'lanes') or 0),
  redis.call('LLEN', key('completed')),
  redis.call('HGETALL', key('types')),
}
