-- Keeps a permit open whose request is still under way.
--
-- KEYS: for every scope its counts and its open permits. ARGV: the permit, and how long it outlives a silent gateway
-- (seconds).

local secs = tonumber(redis.call('TIME')[1])
local ttl = tonumber(ARGV[2])
for at = 1, #KEYS, 2 do
  redis.call('ZADD', KEYS[at + 1], 'XX', secs + ttl, ARGV[1])
  redis.call('EXPIRE', KEYS[at + 1], 2 * ttl)
  if redis.call('TTL', KEYS[at]) < 2 * ttl then
    redis.call('EXPIRE', KEYS[at], 2 * ttl)
  end
end
return 1
