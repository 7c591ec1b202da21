-- Asks for random members and dates, in an order that the seed alone decides.
--
-- Arguments, as name=value: seed, first and members (the range of members),
-- newest (seconds since 1970 of the newest date), days, and of these at most one:
--   span=N       ask for the range of N days instead of one day
--   tokens=FILE  a member's own JWT on each line, in the members' order
--   known=FILE   `path etag` on each line; asks only for these, conditionally

local settings = {}
local tokens, known
-- The end of each path, made once: the generator shares the machine with what it measures.
local questions = {}
local route = "/api/v1/whoop/daily-data/"
local DAY = 86400

local function lines(name)
    local all = {}
    for line in io.lines(name) do
        all[#all + 1] = line
    end
    return all
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
        questions[age] = settings.span and "?from=" .. date_of(age + settings.span - 1) .. "&to=" .. date_of(age)
            or "?date=" .. date_of(age)
    end
    tokens = settings.tokens and lines(settings.tokens)
    if settings.known then
        known = {}
        for _, line in ipairs(lines(settings.known)) do
            local path, etag = line:match("^(%S+) (.+)$")
            local headers = { ["Authorization"] = wrk.headers["Authorization"], ["If-None-Match"] = etag }
            known[#known + 1] = wrk.format("GET", path, headers)
        end
    end
end

function request()
    if known then
        return known[math.random(#known)]
    end
    local index = math.random(settings.members)
    local user = string.format("%d-0000-4000-8000-000000000000", settings.first + index - 1)
    local path = route .. user .. questions[math.random(0, settings.days - 1)]
    if tokens then
        wrk.headers["Authorization"] = "Bearer " .. tokens[index]
    end
    return wrk.format("GET", path)
end

-- Statuses of 400 and above are in `summary.errors.status`.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "errors": %d}\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
