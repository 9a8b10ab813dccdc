-- Gives back a permit, once: whoever comes second finds it gone and changes nothing.
--
-- KEYS: for every scope its counts and its open permits. ARGV: the permit, its tokens, the tokens used, how long a
-- permit outlives a silent gateway (seconds), when the request was counted that is to be forgotten (or nothing); then
-- for every scope whether requests a minute, an hour, a day and tokens a minute, a day are counted (1 or 0 each).
--
-- Gives in how many scopes it was open.

local secs = tonumber(redis.call('TIME')[1])
local permit, tokens, spent, ttl, counted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found = 0

-- (0 - tokens: the negative of 0 is written as -0, which is no number for Redis.)
local function roll(counts, field, length, first, second)
  local index = math.floor(secs / length)
  local kept = tonumber(redis.call('HGET', counts, field)) or 0
  if index > kept or index + 1 < kept then
    redis.call('HSET', counts, field, index, first, 0, second, 0)
  end
end

local function forget(counts, field, length, requests)
  local kept = redis.call('HMGET', counts, field, requests)
  if tonumber(kept[1]) == math.floor(counted / length) and (tonumber(kept[2]) or 0) > 0 then
    redis.call('HINCRBY', counts, requests, -1)
  end
end

for at = 1, #KEYS, 2 do
  local counts, open = KEYS[at], KEYS[at + 1]
  local function is(place)
    return ARGV[5 + (at - 1) / 2 * 5 + place] == '1'
  end
  if redis.call('ZREM', open, permit) == 1 then
    found = found + 1
    if redis.call('HINCRBY', counts, 'held', 0 - tokens) < 0 then
      redis.call('HSET', counts, 'held', 0)
    end
    if spent > 0 and is(4) then
      roll(counts, 'm', 60, 'mr', 'mt')
      redis.call('HINCRBY', counts, 'mt', spent)
    end
    if spent > 0 and is(5) then
      roll(counts, 'd', 86400, 'dr', 'dt')
      redis.call('HINCRBY', counts, 'dt', spent)
    end
    if counted then
      local _ = is(1) and forget(counts, 'm', 60, 'mr')
      _ = is(2) and forget(counts, 'h', 3600, 'hr')
      _ = is(3) and forget(counts, 'd', 86400, 'dr')
    end
    local length = (is(3) or is(5)) and 86400 or is(2) and 3600 or 60
    redis.call('EXPIRE', counts, length + 2 * ttl)
  end
end
return found
