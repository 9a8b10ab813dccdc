-- Keeps holds open whose requests are still under way. One that is not there any more stays away: this may come late,
-- after its own end.
--
-- KEYS: for every hold and budget its open holds and their sum. ARGV: how long a hold outlives a silent gateway
-- (seconds); then for every hold and budget the member.

local secs = tonumber(redis.call('TIME')[1])
local ttl = tonumber(ARGV[1])
for at = 1, #KEYS, 2 do
  redis.call('ZADD', KEYS[at], 'XX', secs + ttl + 1, ARGV[(at + 1) / 2 + 1])
  redis.call('EXPIRE', KEYS[at], 2 * ttl)
  redis.call('EXPIRE', KEYS[at + 1], 2 * ttl)
end
return 1
