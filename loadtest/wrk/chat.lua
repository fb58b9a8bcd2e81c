-- One chat request of BODY_BYTES bytes, again and again. Counts answers that are not 200.
local bytes = tonumber(os.getenv("BODY_BYTES") or "600")
local model = os.getenv("MODEL") or "simulated/simulated-chat"
local extra = os.getenv("BODY_EXTRA") or ""
local front = '{"model":"' .. model .. '",' .. extra .. '"messages":[{"role":"user","content":"'
local back = '"}],"temperature":0.7}'
-- A line break every hundred bytes, as prompts have.
local line = string.rep("a", 98) .. "\\n"
local fill = bytes - #front - #back
local text = (os.getenv("TEXT") or "") .. string.rep(line, math.floor(fill / 100)) .. string.rep("a", fill % 100)

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. (os.getenv("KEY") or "loadtest")
wrk.body = front .. text .. back

-- Each connection waits so long before its next request: a rate that does not depend on how fast answers come.
local pause_ms = tonumber(os.getenv("PAUSE_MS") or "0")
if pause_ms > 0 then
  -- Not all at once: that would be a load of bursts.
  function delay() return math.random(0, 2 * pause_ms) end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('RESULT {"requests":%d,"us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), failed))
end
