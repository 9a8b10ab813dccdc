-- Raises what is spent to what it was known to be, where that is more.
--
-- KEYS: what is spent in periods. ARGV: for each what it is at least, and when it may be forgotten (Unix time, or 0).

for at, key in ipairs(KEYS) do
  local text = redis.pcall('GET', key)
  local known = type(text) == 'string' and tonumber(text) or 0
  if type(text) ~= 'table' and known < tonumber(ARGV[at * 2 - 1]) then
    redis.call('SET', key, ARGV[at * 2 - 1], 'KEEPTTL')
    if ARGV[at * 2] ~= '0' and redis.call('EXPIREAT', key, ARGV[at * 2], 'GT') == 0 then
      redis.call('EXPIREAT', key, ARGV[at * 2], 'NX')
    end
  end
end
return 1
