-- Adds what a gateway counted by itself while it could not ask, to windows that are still current.
--
-- KEYS: the counts of one scope, and the last number of the gateway. ARGV: minute, its requests and tokens; hour, its requests; day, its requests and
-- tokens; how long the counts are kept beyond their windows (seconds); the number, which is added once, and how long
-- it is remembered (seconds).

if tonumber(ARGV[10]) <= (tonumber(redis.call('GET', KEYS[2])) or 0) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[10], 'EX', ARGV[11])

local secs = tonumber(redis.call('TIME')[1])
local ttl = tonumber(ARGV[9])

local function add(field, length, index, amounts)
  if tonumber(index) ~= math.floor(secs / length) then
    return
  end
  if tonumber(redis.call('HGET', KEYS[1], field)) ~= tonumber(index) then
    redis.call('HSET', KEYS[1], field, index)
    for name in pairs(amounts) do
      redis.call('HSET', KEYS[1], name, 0)
    end
  end
  for name, amount in pairs(amounts) do
    redis.call('HINCRBY', KEYS[1], name, amount)
  end
  if redis.call('TTL', KEYS[1]) < length + ttl then
    redis.call('EXPIRE', KEYS[1], length + ttl)
  end
end

add('m', 60, ARGV[1], { mr = ARGV[2], mt = ARGV[3] })
add('h', 3600, ARGV[4], { hr = ARGV[5] })
add('d', 86400, ARGV[6], { dr = ARGV[7], dt = ARGV[8] })
return 1
