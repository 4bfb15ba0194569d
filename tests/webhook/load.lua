-- Sends deliveries with ids of their own, and writes down which records the answers name.
local count = 0
local threads = {}
accepted, unavailable, others = 0, 0, 0

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(arguments)
  file = io.open(arguments[1] .. "-" .. number, "w")
end

function request()
  count = count + 1
  local headers = {["content-type"] = "application/json", ["x-delivery"] = number .. "-" .. count}
  return wrk.format("POST", nil, headers, '{"number": ' .. count .. "}")
end

function response(status, headers, body)
  if status >= 200 and status < 300 then
    accepted = accepted + 1
    file:write(body, "\n")
    file:flush()
  elseif status == 503 and headers["retry-after"] then
    unavailable = unavailable + 1
  else
    others = others + 1
  end
end

function done(summary)
  local told = {accepted = 0, unavailable = 0, others = 0}
  for _, thread in ipairs(threads) do
    for name in pairs(told) do
      told[name] = told[name] + thread:get(name)
    end
  end
  io.write(string.format('{"accepted": %d, "unavailable": %d, "others": %d, "broken": %d}\n',
    told.accepted, told.unavailable, told.others,
    summary.errors.connect + summary.errors.read + summary.errors.write))
end
