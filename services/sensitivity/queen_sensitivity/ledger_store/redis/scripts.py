"""The Lua scripts that run inside Redis; each is atomic, as is its line in the append-only file.

Every list of an account lies beside the set of its classes under one hash tag, so the server
that runs a script has all of its keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Word = bytes | str | int | float


class Command(NamedTuple):
    """A command; `key` decides to which server of a cluster it is sent."""

    key: str
    words: tuple[Word, ...]
    script: str = ""
    """Text of the script that the words call by its digest, if they call a script."""

    def with_text(self) -> Command:
        """The call with the script's text in it, for a server that does not know the digest."""
        return self._replace(words=("EVAL", self.script, *self.words[2:]), script="")


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
        """A call with `keys`, at least one and all in one slot."""
        return Command(keys[0], ("EVALSHA", self.digest, len(keys), *keys, *arguments), self.text)


_GENERATIONS = """
-- Numbers come from the clock in milliseconds: %.0f, since Lua would round what it prints.
local function generation_of(card, geometry)
  return tonumber(redis.call('HGET', card, geometry) or 0)
end
local function renew(card, classes, geometry, generation)
  for _, label in ipairs(redis.call('SMEMBERS', classes)) do
    redis.call('DEL', classes .. ':' .. label)
  end
  redis.call('DEL', classes)
  redis.call('HSET', card, geometry, string.format('%.0f', generation))
end
-- The store's generation. A newer one is entered first, since the store lost an erasure.
local function entered(card, classes, geometry, generation)
  local known = generation_of(card, geometry)
  if generation > known then renew(card, classes, geometry, generation) end
  return math.max(known, generation)
end
"""
APPEND = Script(
    _GENERATIONS
    + """
-- Whether records are gone: the list is too short, or has other records than the caller knows.
local function has_lost(key, version, expected, behind)
  if version < expected then return true end
  if behind == '' then return false end
  return redis.call('LRANGE', key, expected - 1, expected - 1)[1] ~= behind
end
-- unpack puts its values on a stack of some thousand places.
local function push(key, label, is_new, words, first, last)
  if is_new and first <= last then
    redis.call('HSETNX', KEYS[1], ARGV[1], 0)
    redis.call('SADD', KEYS[2], label)
  end
  for start = first, last, 1000 do
    redis.call('RPUSH', key, unpack(words, start, math.min(start + 999, last)))
  end
end

-- KEYS: the hash of generations, the set of classes, then the list of each append.
-- ARGV: the geometry; for each append its label, generation, expected version, the record
-- before that, number of records, and the records.
local results, at = {}, 2
for ledger = 3, #KEYS do
  local key, label, generation = KEYS[ledger], ARGV[at], tonumber(ARGV[at + 1])
  local expected, behind, count = tonumber(ARGV[at + 2]), ARGV[at + 3], tonumber(ARGV[at + 4])
  local first, last = at + 5, at + 4 + count
  local known = entered(KEYS[1], KEYS[2], ARGV[1], generation)
  local version = redis.call('LLEN', key)
  if generation < known then
    results[ledger - 2] = {'renewed', known}
  elseif has_lost(key, version, expected, behind) then
    results[ledger - 2] = {'regressed', version}
  elseif version > expected then
    results[ledger - 2] = {'conflict', redis.call('LRANGE', key, expected, -1)}
  else
    push(key, label, version == 0, ARGV, first, last)
    results[ledger - 2] = {'appended', version + count}
  end
  at = last + 1
end
return results
"""
)

LOAD = Script(
    """
-- KEYS: the set of classes. ARGV: the name of a list up to its label.
local ledgers = {}
for index, label in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  ledgers[index] = {label, redis.call('LRANGE', ARGV[1] .. label, 0, -1)}
end
return ledgers
"""
)

ERASE = Script(
    _GENERATIONS
    + """
-- KEYS: the hash of generations, then the set of classes of each geometry.
-- ARGV: least generation, 1 to remove the records, then each geometry.
local has_records = {}
for index = 2, #KEYS do
  local classes, geometry = KEYS[index], ARGV[index + 1]
  local fresh = math.max(generation_of(KEYS[1], geometry) + 1, tonumber(ARGV[1]))
  if ARGV[2] == '1' then
    renew(KEYS[1], classes, geometry, fresh)
  else
    redis.call('HSET', KEYS[1], geometry, string.format('%.0f', fresh))
  end
  has_records[index - 1] = redis.call('EXISTS', classes)
end
return has_records
"""
)
