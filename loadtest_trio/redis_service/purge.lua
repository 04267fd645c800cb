#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: books before the purge, messages removed from the dead list for good.

local found = books()
local purged = redis.call('LLEN', DEAD)
redis.call('UNLINK', DEAD)
count('purged', purged)
return {found, purged}
