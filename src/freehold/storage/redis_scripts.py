"""The steps of money as scripts that Redis runs whole or not at all. Amounts are exact up to 2^53, and larger ones refused.

Keys, all in one slot: the id of these budgets, which every ledger that uses them knows; hashes of spent and of reserved by
account; a hash of open reservations (JSON by attempt) and the ends of their leases; a hash of lapsed ones, settled at what was
reserved. All that is common to all ledgers. Beside it, one for each ledger: a hash of the flags of its attempts that are not
in it yet, by attempt, account and flag, a line each. Time is the server's.
"""

KEYS = tuple(f"{{freehold}}:{name}" for name in ("ledger", "spent", "reserved", "held", "leases", "lapsed"))
_FLAGS = "{freehold}:flags:"
LARGEST = 2**53
"""Redis reckons in doubles: up to here they are exact."""

_HEAD = (
    f"""
local FLAGS = '{_FLAGS}'
"""
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LOST the budgets of this ledger are gone') end
local function whole(number) return string.format('%.0f', number) end
local function now_ms() local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000) end
-- told in the ledger of who reserved, whoever settles it
local function flag(ledger, attempt, account, name, reserved, spent)
  redis.call('HSET', FLAGS .. ledger, attempt .. '\\n' .. account .. '\\n' .. name, whole(reserved) .. ' ' .. whole(spent))
end
"""
)

RESERVE = (
    _HEAD
    + """
-- attempt, lease in ms, its JSON, then account, limit, amount ...
if redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 then return {} end
local held = {}
for at = 5, #ARGV, 3 do
  local account, limit, amount = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local spent = redis.call('HGET', KEYS[2], account) or '0'
  local reserved = redis.call('HGET', KEYS[3], account) or '0'
  held[account] = (held[account] or 0) + amount
  if tonumber(spent) + tonumber(reserved) + held[account] > limit then return {(at - 5) / 3, spent, reserved} end
end
for account, amount in pairs(held) do redis.call('HINCRBY', KEYS[3], account, whole(amount)) end
redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
redis.call('ZADD', KEYS[5], whole(now_ms() + ARGV[3]), ARGV[2])
return {}
"""
)

SETTLE = (
    _HEAD
    + """
-- attempt, 'void' or 'settle', then account, amount ...; gives how many flags wait for our ledger
local raw, was_lapsed = redis.call('HGET', KEYS[4], ARGV[2]), false
if raw then
  redis.call('HDEL', KEYS[4], ARGV[2])
  redis.call('ZREM', KEYS[5], ARGV[2])
else
  raw, was_lapsed = redis.call('HGET', KEYS[6], ARGV[2]), true
  if not raw then return redis.call('HLEN', KEYS[7]) end
  redis.call('HDEL', KEYS[6], ARGV[2])
end
local kept, spent = cjson.decode(raw), {}
local charges, ledger = kept.charges, kept.ledger
for account, reserved in pairs(charges) do spent[account] = ARGV[3] == 'void' and 0 or reserved end
for at = 4, #ARGV, 2 do spent[ARGV[at]] = tonumber(ARGV[at + 1]) end
for account, amount in pairs(spent) do
  local reserved = charges[account] or 0
  if was_lapsed then
    redis.call('HINCRBY', KEYS[2], account, whole(amount - reserved))
    flag(ledger, ARGV[2], account, 'lapsed', reserved, amount)
  else
    redis.call('HINCRBY', KEYS[3], account, whole(-reserved))
    redis.call('HINCRBY', KEYS[2], account, whole(amount))
  end
  if amount > reserved then flag(ledger, ARGV[2], account, 'overrun', reserved, amount) end
end
return redis.call('HLEN', KEYS[7])
"""
)

RENEW = (
    _HEAD
    + """
-- lease in ms, then attempts
for at = 3, #ARGV do redis.call('ZADD', KEYS[5], 'XX', whole(now_ms() + ARGV[2]), ARGV[at]) end
return 0
"""
)

RECOVER = (
    _HEAD
    + """
-- how many at most, then attempts whose owners are dead; gives how many flags wait for our ledger
local found = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', whole(now_ms()), 'LIMIT', 0, ARGV[2])
for at = 3, #ARGV do found[#found + 1] = ARGV[at] end
for _, attempt in ipairs(found) do
  local raw = redis.call('HGET', KEYS[4], attempt)
  redis.call('ZREM', KEYS[5], attempt)
  if raw then
    redis.call('HDEL', KEYS[4], attempt)
    redis.call('HSET', KEYS[6], attempt, raw)
    local kept = cjson.decode(raw)
    for account, reserved in pairs(kept.charges) do
      redis.call('HINCRBY', KEYS[3], account, whole(-reserved))
      redis.call('HINCRBY', KEYS[2], account, whole(reserved))
      flag(kept.ledger, attempt, account, 'lapsed', reserved, reserved)
    end
  end
end
return redis.call('HLEN', KEYS[7])
"""
)

FORGET = (
    _HEAD
    + """
-- a flag and what was told of it: it is in the ledger. What became of it meanwhile is not
if redis.call('HGET', KEYS[7], ARGV[2]) == ARGV[3] then redis.call('HDEL', KEYS[7], ARGV[2]) end
return 0
"""
)


def flags_of(ledger: str) -> str:
    """The key of what is to be told in that ledger."""
    return _FLAGS + ledger
