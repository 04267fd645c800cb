-- The load of the jobs benchmark: submissions and status requests at random, one line of JSON at the end.
--   wrk -s mix.lua URL -- submit=30 clients=100000 limit=0 ordered=1 n=0
--     submit    submissions in a hundred requests
--     clients   size of the set that each submission's X-Client-Id is drawn from
--     limit     end after so many accepted submissions; 0: when the time is over
--     ordered   0: submissions waive the order of their client's jobs
--     n         above 0: every job is the factorial of n; 0: half sha512, half factorial
--     id        a job to ask for before the first submission was answered; can be repeated
-- A status request asks for one of the latest jobs: most of them have ended, some have not.

local KEPT, LAST = 4096, 16 -- ids that are asked for; ids that the harness waits for

local options = { submit = 30, clients = 100000, limit = 0, ordered = 1, n = 0 }
local bodies = {}
local ids = {}
-- Global, for done(). wrk calls request() once more than it sends, to check it.
sent, submitted, not_2xx, last = -1, 0, 0, {}

local POST = "POST /api/jobs HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
    .. "X-Client-Id: client-%d\r\nContent-Length: %d\r\n\r\n%s"
local GET = "GET /api/jobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n"
local SHA512 = '{"type":"sha512","payload":{"data":"Hello","iterations":10}%s}'
local FACTORIAL = '{"type":"factorial","payload":{"n":%d}%s}'

local host, started

function init(args)
    for _, argument in ipairs(args) do
        local name, value = argument:match("^(%w+)=(.+)$")
        if name == "id" then
            ids[#ids + 1] = value
        else
            options[name] = tonumber(value)
        end
    end
    local ordered = options.ordered == 0 and ',"ordered":false' or ""
    if options.n > 0 then
        bodies = { FACTORIAL:format(options.n, ordered) }
    else
        bodies = { SHA512:format(ordered), FACTORIAL:format(20, ordered) }
    end
    host = wrk.headers["Host"]
    started = os.time()
    math.randomseed(os.time())
end

function request()
    sent = sent + 1
    if #ids == 0 or math.random(100) <= options.submit then
        local body = bodies[math.random(#bodies)]
        return POST:format(host, math.random(options.clients), #body, body)
    end
    return GET:format(ids[math.random(#ids)], host)
end

local SUMMARY = '{"sent":%d,"requests":%d,"seconds":%.6f,"submitted":%d,"not_2xx":%d,"socket_errors":%d,'
    .. '"p50_ms":%.3f,"p95_ms":%.3f,"p99_ms":%.3f,"last_ids":["%s"]}\n'

-- wrk itself would go on until the time is over, so this leaves at once; it has no latencies to tell.
local function finish()
    local seconds = os.time() - started
    io.write(SUMMARY:format(sent, sent, seconds, submitted, not_2xx, 0, 0, 0, 0, table.concat(last, '","')))
    io.flush()
    os.exit(0)
end

function response(status, _, body)
    if status == 202 then
        local id = body:match('"id"%s*:%s*"?([^",}]+)')
        ids[submitted % KEPT + 1] = id
        last[submitted % LAST + 1] = id
        submitted = submitted + 1
        if submitted == options.limit then
            finish()
        end
    elseif status < 200 or status > 299 then
        not_2xx = not_2xx + 1
    end
end

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function done(summary, latency)
    local thread, errors = threads[1], summary.errors -- the harness starts wrk with one thread
    local function milliseconds(percent) return latency:percentile(percent) / 1e3 end
    io.write(SUMMARY:format(
        thread:get("sent"), summary.requests, summary.duration / 1e6, thread:get("submitted"), thread:get("not_2xx"),
        errors.connect + errors.read + errors.write + errors.timeout,
        milliseconds(50), milliseconds(95), milliseconds(99), table.concat(thread:get("last"), '","')))
end
