-- Sets money aside in every budget, or in none.
--
-- KEYS: the fence of the lane; the last number of the lane of one's batches; then for every budget what is spent in its period, its open holds, and their sum.
-- ARGV: the epoch of the lane, the hold, how long it outlives a silent gateway (seconds); then for every budget its
-- limit, what is set aside, whether it refuses, and whether what is set aside has to fit (1 or 0 each).
--
-- Gives {1 or 0, that number, spent, held, spent, held, …}, as it was before, or {2} for a lane that has begun anew since.

local epoch = redis.call('GET', KEYS[1])
if epoch and tonumber(epoch) > tonumber(ARGV[1]) then
  return { 2 }
end
local secs = tonumber(redis.call('TIME')[1])
local ttl = tonumber(ARGV[3])

-- Gives back what holds set aside whose gateways have said nothing for too long: some of them at a time.
local function prune(open, sum)
  local over = redis.call('ZRANGEBYSCORE', open, '-inf', secs, 'LIMIT', 0, 100)
  if #over == 0 then
    return
  end
  local amount = 0
  for _, member in ipairs(over) do
    amount = amount + tonumber(string.match(member, ':(%d+)$'))
  end
  redis.call('ZREM', open, unpack(over))
  if redis.call('DECRBY', sum, string.format('%.0f', amount)) < 0 then
    redis.call('SET', sum, 0, 'KEEPTTL')
  end
end

local answer = { 1, tonumber(redis.call('GET', KEYS[2])) or 0 }
for at = 3, #KEYS, 3 do
  local arg = 3 + (at - 3) / 3 * 4
  local limit, amount = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  prune(KEYS[at + 1], KEYS[at + 2])
  local spent = tonumber(redis.call('GET', KEYS[at])) or 0
  local held = tonumber(redis.call('GET', KEYS[at + 2])) or 0
  answer[#answer + 1] = spent
  answer[#answer + 1] = held
  local fits = ARGV[arg + 4] == '0' or spent + held + amount <= limit
  if ARGV[arg + 3] == '1' and not (spent + held < limit and fits) then
    answer[1] = 0
  end
end
if answer[1] == 0 then
  return answer
end
for at = 3, #KEYS, 3 do
  local amount = ARGV[3 + (at - 3) / 3 * 4 + 2]
  -- One that is there was set aside by the same call, sent twice.
  if redis.call('ZADD', KEYS[at + 1], 'NX', secs + ttl + 1, ARGV[2] .. ':' .. amount) == 1 then
    redis.call('INCRBY', KEYS[at + 2], amount)
  end
  redis.call('EXPIRE', KEYS[at + 1], 2 * ttl)
  redis.call('EXPIRE', KEYS[at + 2], 2 * ttl)
end
return answer
