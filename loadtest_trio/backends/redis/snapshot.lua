#!lua flags=allow-oom
-- ARGV: consumer
-- Reply: books, queued, in flight, delayed, dead, consumers, waiting, when the next message was due: all of one
-- instant.

open_books()
return {books(), places()}
