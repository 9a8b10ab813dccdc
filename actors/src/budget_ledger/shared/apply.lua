-- Adds consecutive batches of charges as one, once, and gives back the holds that they were made under.
--
-- KEYS: the last number of the batches' lane; what is spent in the period of every sum; then for every hold and budget
-- its open holds and their sum. ARGV: the first number and the last (0 for no batch), how long the lane is remembered
-- (seconds), the number of sums; for every sum the cost and when it may be forgotten (Unix time, or 0); then for every
-- hold and budget the member and what was set aside.
--
-- Gives the last number that was added before, where that is not all before the first and not the last either; then
-- nothing was done. Otherwise -1, and the places of sums that could not simply be added, each with 1 where what stood
-- there was moved aside, and 0 where the sum is left out.
--
-- Nothing that was done is undone after an error. So the number is written first, and no single sum is in the way of
-- others: what is tried again adds nothing twice.

local first, last, sums = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local answer = { -1 }

-- Adds to a key that holds something that nothing can be added to.
local function force(key, cost)
  local text = redis.pcall('GET', key)
  local known = type(text) == 'string' and tonumber(text) or 0
  if known >= 2 ^ 53 then
    return 0
  end
  redis.pcall('RENAME', key, key .. ':aside')
  local whole = known > 0 and math.ceil(known) or 0
  local set = redis.pcall('SET', key, string.format('%.0f', whole + tonumber(cost)))
  return set.err and 0 or 1
end

if last > 0 then
  local known = tonumber(redis.call('GET', KEYS[1])) or 0
  if first <= known and known < last then
    return { known }
  end
  if known < first then
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
    for at = 1, sums do
      local cost, forget = ARGV[3 + at * 2], ARGV[4 + at * 2]
      if type(redis.pcall('INCRBY', KEYS[1 + at], cost)) ~= 'number' then
        answer[#answer + 1] = at
        answer[#answer + 1] = force(KEYS[1 + at], cost)
      end
      if forget ~= '0' and redis.pcall('EXPIREAT', KEYS[1 + at], forget, 'GT') == 0 then
        redis.pcall('EXPIREAT', KEYS[1 + at], forget, 'NX')
      end
    end
  end
end
local arg = 4 + sums * 2
for at = sums + 2, #KEYS, 2 do
  if redis.pcall('ZREM', KEYS[at], ARGV[arg + 1]) == 1 then
    local left = redis.pcall('DECRBY', KEYS[at + 1], ARGV[arg + 2])
    if type(left) == 'number' and left < 0 then
      redis.pcall('SET', KEYS[at + 1], 0, 'KEEPTTL')
    end
  end
  arg = arg + 2
end
return answer
