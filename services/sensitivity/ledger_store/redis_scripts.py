"""What runs inside Redis: each script is atomic, and so is its line in the append-only file.

Every list of an account lies beside the set of its classes under one hash tag, so a script
finds all that it needs on the server that runs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

Word = bytes | str | int | float


@dataclass(frozen=True)
class Command:
    """One command; `key` says which server of a cluster it is for."""

    key: str
    words: tuple[Word, ...]
    script: str = ""
    """Text of the script that the words call by its digest, if they call one."""

    def with_text(self) -> Command:
        """The same call with the text in it, for a server that does not know the digest."""
        return replace(self, words=("EVAL", self.script, *self.words[2:]), script="")


@dataclass(frozen=True)
class Script:
    """A Lua script, called by its digest."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        # The name that Redis gives a script, not a secret.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)

    def call(self, keys: Sequence[str], arguments: Sequence[Word]) -> Command:
        """A call with `keys`, at least one and all of one slot."""
        return Command(keys[0], ("EVALSHA", self.digest, len(keys), *keys, *arguments), self.text)


_PUSH = """
-- unpack puts its values on a stack of some thousand places.
local function push(key, label, is_new, words, first, last)
  if is_new and first <= last then redis.call('SADD', KEYS[1], label) end
  for start = first, last, 1000 do
    redis.call('RPUSH', key, unpack(words, start, math.min(start + 999, last)))
  end
end
"""

APPEND = Script(
    _PUSH
    + """
-- KEYS: the set of classes, then the list of each append.
-- ARGV: for each append its label, expected version, number of records, and the records.
local results, at = {}, 1
for ledger = 2, #KEYS do
  local key, label = KEYS[ledger], ARGV[at]
  local expected, count = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first, last = at + 3, at + 2 + count
  local version = redis.call('LLEN', key)
  if version < expected then
    results[ledger - 1] = {'regressed', version}
  elseif version > expected then
    results[ledger - 1] = {'conflict', redis.call('LRANGE', key, expected, -1)}
  else
    push(key, label, version == 0, ARGV, first, last)
    results[ledger - 1] = {'appended', version + count}
  end
  at = last + 1
end
return results
"""
)

LOAD = Script(
    """
-- KEYS: the set of classes. ARGV: what stands before the label in the name of a list.
local ledgers = {}
for place, label in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  ledgers[place] = {label, redis.call('LRANGE', ARGV[1] .. label, 0, -1)}
end
return ledgers
"""
)

APPEND_IF_NOVEL = Script(
    _PUSH
    + """
-- KEYS: the set of classes, the list.
-- ARGV: label, expected version, embedding width, coverage radius, threshold, cqs at that
-- version, least and greatest weight of a record; then weight and record of each candidate.
local PAIRS, SLACK = 100000, 1e-12
local label, expected, width = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local radius, threshold, cqs = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local lightest, heaviest = tonumber(ARGV[7]), tonumber(ARGV[8])

local version = redis.call('LLEN', KEYS[2])
if version < expected then return {'regressed', version} end
local tail = redis.call('LRANGE', KEYS[2], expected, -1)
-- All of Redis waits for a script, so its work is bounded; the rest is for the next call.
if #tail > PAIRS then return {'decided', tail, ''} end

local layout, known = '<' .. string.rep('f', width), {}
for place, record in ipairs(tail) do known[place] = {struct.unpack(layout, record)} end
local function nearest(point)
  local least = math.huge
  for _, other in ipairs(known) do
    local squared = 0
    for axis = 1, width do
      local offset = other[axis] - point[axis]
      squared = squared + offset * offset
    end
    if squared < least then least = squared end
  end
  return math.sqrt(least)
end

-- The tail's weights are not known here, so cqs is somewhere between these two.
local low, high = cqs + #tail * lightest, cqs + #tail * heaviest
local fresh, taken, pairs_left = {}, {}, PAIRS
for at = 9, #ARGV, 2 do
  pairs_left = pairs_left - #known
  if pairs_left < 0 then break end
  local point = {struct.unpack(layout, ARGV[at + 1])}
  local distance = nearest(point)
  if distance <= radius * (1 - SLACK) then
    taken[#taken + 1] = '0'
  elseif distance < radius * (1 + SLACK) then
    break
  elseif low > threshold then
    taken[#taken + 1] = '0'
  elseif high > threshold then
    break
  else
    taken[#taken + 1] = '1'
    known[#known + 1], fresh[#fresh + 1] = point, ARGV[at + 1]
    low, high = low + tonumber(ARGV[at]), high + tonumber(ARGV[at])
  end
end
push(KEYS[2], label, version == 0, fresh, 1, #fresh)
return {'decided', tail, table.concat(taken)}
"""
)
