-- Takes one request and a hold of tokens from every scope, or nothing from any.
--
-- KEYS: the fence of the lane; the holds of budgets, if a hold is asked for; then for every scope its counts and its
-- open permits. ARGV: the epoch of the lane, the permit, its tokens, how long it outlives a silent gateway (seconds),
-- the scope whose standing is wanted (from 1, or 0), the hold that must exist (or nothing); then for every scope
-- rps, rpm, rph, rpd, tpm, tpd, concurrency (or nothing).
--
-- Gives {0, scope from 0, dimension, limit, used, wait or -1, now, …} for a refusal, {1, now, requests, tokens,
-- concurrent, …} for an admission, {2} for a lane that has begun anew since, {3} where there is no such hold. In place of
-- … stand for every scope its requests and tokens of the minute, requests of the hour, requests and tokens of the day.

local epoch = redis.call('GET', KEYS[1])
if epoch and tonumber(epoch) > tonumber(ARGV[1]) then
  return {2}
end
local first = 2
if ARGV[6] ~= '' then
  first = 3
  if not redis.call('ZSCORE', KEYS[2], ARGV[6]) then
    return {3}
  end
end

local time = redis.call('TIME')
local secs = tonumber(time[1])
local micros = secs * 1000000 + tonumber(time[2])
local permit, tokens, ttl, wanted = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local CONCURRENCY, TPM, TPD, RPS, RPM, RPH, RPD = 0, 1, 2, 3, 4, 5, 6

-- What is used in the window of now: a window that is over holds nothing. One that is a step ahead is that of a clock
-- that was set back by little.
local function used(kept, index, count)
  kept = tonumber(kept) or 0
  if index > kept or index + 1 < kept then
    return index, 0
  end
  return kept, tonumber(count) or 0
end

-- Gives back what permits held whose gateways have said nothing for too long: some at a time, so that no request waits
-- for all that a gateway had open.
local function prune(counts, open)
  local gone = redis.call('ZRANGEBYSCORE', open, '-inf', secs, 'LIMIT', 0, 100)
  if #gone == 0 then
    return
  end
  local held = 0
  for _, member in ipairs(gone) do
    held = held + tonumber(string.match(member, ':(%d+)$'))
  end
  redis.call('ZREM', open, unpack(gone))
  if redis.call('HINCRBY', counts, 'held', 0 - held) < 0 then
    redis.call('HSET', counts, 'held', 0)
  end
end

-- Appends how all scopes stand.
local function with_counts(reply, scopes)
  for _, scope in ipairs(scopes) do
    for _, count in ipairs({ scope.mr, scope.mt, scope.hr, scope.dr, scope.dt }) do
      reply[#reply + 1] = count
    end
  end
  return reply
end

local scopes = {}
local refusal
for at = first, #KEYS, 2 do
  local number = (at - first) / 2
  local arg = 6 + number * 7
  local function limit(place)
    return tonumber(ARGV[arg + place])
  end
  local rps, rpm, rph, rpd, tpm, tpd, most =
    limit(1), limit(2), limit(3), limit(4), limit(5), limit(6), limit(7)
  local counts, open = KEYS[at], KEYS[at + 1]
  prune(counts, open)
  local kept = redis.call('HMGET', counts, 'm', 'mr', 'mt', 'h', 'hr', 'd', 'dr', 'dt', 'g', 'held')
  local scope = { counts = counts, open = open, rpm = rpm, rph = rph, rpd = rpd, tpd = tpd }
  local _
  scope.m, scope.mr = used(kept[1], math.floor(secs / 60), kept[2])
  _, scope.mt = used(kept[1], math.floor(secs / 60), kept[3])
  scope.h, scope.hr = used(kept[4], math.floor(secs / 3600), kept[5])
  scope.d, scope.dr = used(kept[6], math.floor(secs / 86400), kept[7])
  _, scope.dt = used(kept[6], math.floor(secs / 86400), kept[8])
  scope.g = tonumber(kept[9])
  scope.held = tonumber(kept[10]) or 0
  scope.concurrent = redis.call('ZCARD', open)
  scope.taken = redis.call('ZSCORE', open, permit)
  scopes[#scopes + 1] = scope

  local function refuse(dimension, most, seen, wait)
    refusal = refusal or { 0, number, dimension, most, seen, wait }
    return true
  end
  local function rest(length)
    return length - secs % length
  end
  local function tokens_over(dimension, most, seen, length)
    return most and seen + scope.held > most
      and refuse(dimension, most, seen + scope.held, seen > most and rest(length) or 1)
  end
  local function pace_over()
    if not rps then
      return false
    end
    if rps == 0 then
      return refuse(RPS, 0, 0, 1)
    end
    local burst = math.min(rps, 4294967295)
    local gap = math.floor(1000000000 / burst) / 1000
    local arrival = scope.g or micros
    local earliest = math.max(arrival - gap * (burst - 1), 0)
    if micros < earliest then
      return refuse(RPS, rps, rps, math.max(math.ceil((earliest - micros) / 1000000), 1))
    end
    scope.next = math.max(arrival, micros) + gap
    return false
  end
  local function requests_over(dimension, most, seen, length)
    return most and seen >= most and refuse(dimension, most, seen, rest(length))
  end
  if not refusal and not scope.taken then
    local _ = (most and scope.concurrent >= most and refuse(CONCURRENCY, most, scope.concurrent, -1))
      or tokens_over(TPM, tpm, scope.mt, 60)
      or tokens_over(TPD, tpd, scope.dt, 86400)
      or pace_over()
      or requests_over(RPM, rpm, scope.mr, 60)
      or requests_over(RPH, rph, scope.hr, 3600)
      or requests_over(RPD, rpd, scope.dr, 86400)
  end
end
if refusal then
  refusal[#refusal + 1] = secs
  return with_counts(refusal, scopes)
end

for _, scope in ipairs(scopes) do
  -- A permit that is there was taken by the same call, sent twice.
  if not scope.taken then
    scope.concurrent = scope.concurrent + 1
    scope.mr = scope.mr + (scope.rpm and 1 or 0)
    scope.hr = scope.hr + (scope.rph and 1 or 0)
    scope.dr = scope.dr + (scope.rpd and 1 or 0)
    redis.call('HSET', scope.counts, 'm', scope.m, 'mr', scope.mr, 'mt', scope.mt, 'h', scope.h, 'hr', scope.hr,
      'd', scope.d, 'dr', scope.dr, 'dt', scope.dt, 'held', scope.held + tokens)
    if scope.next then
      redis.call('HSET', scope.counts, 'g', scope.next)
    end
    redis.call('ZADD', scope.open, secs + ttl, permit)
    local length = (scope.rpd or scope.tpd) and 86400 or scope.rph and 3600 or 60
    redis.call('EXPIRE', scope.counts, length + 2 * ttl)
    redis.call('EXPIRE', scope.open, 2 * ttl)
  end
end
local standing = scopes[wanted] or { mr = 0, mt = 0, concurrent = 0 }
return with_counts({ 1, secs, standing.mr, standing.mt, standing.concurrent }, scopes)
