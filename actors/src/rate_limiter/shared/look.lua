-- Tells how scopes stand, and changes nothing.
--
-- KEYS: for every scope its counts and its open permits.
--
-- Gives now; then for every scope requests and tokens of the minute, requests of the hour, requests and tokens of the
-- day, tokens held, and permits that are open.

local secs = tonumber(redis.call('TIME')[1])
local answer = { secs }

local function used(kept, length, count)
  local index = math.floor(secs / length)
  kept = tonumber(kept) or 0
  if index > kept or index + 1 < kept then
    return 0
  end
  return tonumber(count) or 0
end

for at = 1, #KEYS, 2 do
  local kept = redis.call('HMGET', KEYS[at], 'm', 'mr', 'mt', 'h', 'hr', 'd', 'dr', 'dt', 'held')
  answer[#answer + 1] = used(kept[1], 60, kept[2])
  answer[#answer + 1] = used(kept[1], 60, kept[3])
  answer[#answer + 1] = used(kept[4], 3600, kept[5])
  answer[#answer + 1] = used(kept[6], 86400, kept[7])
  answer[#answer + 1] = used(kept[6], 86400, kept[8])
  answer[#answer + 1] = tonumber(kept[9]) or 0
  answer[#answer + 1] = redis.call('ZCOUNT', KEYS[at + 1], secs, '+inf')
end
return answer
