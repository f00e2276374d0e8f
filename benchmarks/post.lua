-- For wrk: post one file as a form, count only answers of 200, print one line of JSON at the end.
--
--     wrk -s post.lua URL -- FORM CONTENT-TYPE      FORM: a file that holds the request's body
--
-- benchmarks.wrk calls it, with one thread: a thread's counts are its own.

local counted

function setup(thread)
  counted = thread
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[2]
  wrk.body = file:read("*a")
  file:close()
  good = 0
end

function response(status)
  if status == 200 then
    good = good + 1
  end
end

function done(summary, latency)
  local good = counted:get("good")
  local errors = summary.errors
  local failed = summary.requests - good + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"count": %d, "failed": %d, "per_second": %.3f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    good, failed, good / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
