-- Adds a batch of charges, once, and gives back the holds that they were made under.
--
-- KEYS: the last number of the batch's lane; what is spent in the period of every sum; then for every hold and budget
-- its open holds and their sum. ARGV: the number (0 for no batch), how long the lane is remembered (seconds), the
-- number of sums; for every sum the cost and when it may be forgotten (Unix time, or 0); then for every hold and
-- budget the member and what was set aside.
--
-- Gives 1 where the charges were added, 0 where they had been before.

local number, sums = tonumber(ARGV[1]), tonumber(ARGV[3])
local added = 0
if number > (tonumber(redis.call('GET', KEYS[1])) or 0) then
  for at = 1, sums do
    local cost, forget = ARGV[2 + at * 2], tonumber(ARGV[3 + at * 2])
    redis.call('INCRBY', KEYS[1 + at], cost)
    if forget > 0 then
      redis.call('EXPIREAT', KEYS[1 + at], forget)
    end
  end
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  added = 1
end
local arg = 3 + sums * 2
for at = sums + 2, #KEYS, 2 do
  if redis.call('ZREM', KEYS[at], ARGV[arg + 1]) == 1 then
    if redis.call('DECRBY', KEYS[at + 1], ARGV[arg + 2]) < 0 then
      redis.call('SET', KEYS[at + 1], 0, 'KEEPTTL')
    end
  end
  arg = arg + 2
end
return added
