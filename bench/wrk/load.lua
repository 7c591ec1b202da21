-- Requests random members and dates. The order depends only on the seed.
--
-- Arguments, as name=value: seed, first and members (the range of members),
-- newest (seconds since 1970 of the newest date), days, and at most one of these:
--   span=N       request a range of N days instead of one day
--   tokens=FILE  a JWT of each member on each line, in the order of the members
--   known=FILE   `path etag` on each line; request only these, conditionally

local settings = {}
local tokens, conditional_requests
-- The query of each date, computed in advance, because the generator shares the cores with the server.
local queries = {}
local route = "/api/v1/whoop/daily-data/"
local DAY = 86400

local function lines(name)
    local result = {}
    for line in io.lines(name) do
        result[#result + 1] = line
    end
    return result
end

local function date_of(age)
    return os.date("!%Y-%m-%d", settings.newest - age * DAY)
end

function init(arguments)
    for _, argument in ipairs(arguments) do
        local name, value = argument:match("^(%w+)=(.*)$")
        settings[name] = tonumber(value) or value
    end
    math.randomseed(settings.seed)
    if settings.span then
        route = "/api/v1/whoop/range/"
    end
    for age = 0, settings.days - 1 do
        queries[age] = settings.span and "?from=" .. date_of(age + settings.span - 1) .. "&to=" .. date_of(age)
            or "?date=" .. date_of(age)
    end
    tokens = settings.tokens and lines(settings.tokens)
    if settings.known then
        conditional_requests = {}
        for _, line in ipairs(lines(settings.known)) do
            local path, etag = line:match("^(%S+) (.+)$")
            local headers = { ["Authorization"] = wrk.headers["Authorization"], ["If-None-Match"] = etag }
            conditional_requests[#conditional_requests + 1] = wrk.format("GET", path, headers)
        end
    end
end

function request()
    if conditional_requests then
        return conditional_requests[math.random(#conditional_requests)]
    end
    local index = math.random(settings.members)
    local user = string.format("%d-0000-4000-8000-000000000000", settings.first + index - 1)
    local path = route .. user .. queries[math.random(0, settings.days - 1)]
    if tokens then
        wrk.headers["Authorization"] = "Bearer " .. tokens[index]
    end
    return wrk.format("GET", path)
end

-- `summary.errors.status` counts the responses with status 400 and above.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "errors": %d}\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
