#!lua flags=allow-oom
-- ARGV: consumer, number of its latest claim, tokens that the consumer knows of...
-- Reply: books, messages returned to the queue: those in flight that nobody is working on, because
-- the reply to their claim was given up, or because Redis came back with a past in which they were
-- not settled yet.

local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local strays = {}
for _, token in ipairs(claimed_until(ARGV[2])) do
  if not known[token] then strays[#strays + 1] = token end
end
return {books(), give_back(CONSUMER, strays)}
