package redis

import "github.com/redis/go-redis/v9"

// Versions and header times are strings of eight bytes, because a number in Lua
// is a float64 with 53 bits. A value is damaged if it is too short for a
// header, or has a version or a time that no release writes. A script checks
// everything that can fail before its first write. Numbers for Redis are
// strings, so that Lua does not format them.

// checkHeader is a part of scripts. checkHeader answers CORRUPT unless the
// script's variable have begins with a header.
const checkHeader = `
		if #have < 16 or string.byte(have, 1, 1) > 127 or string.sub(have, 9, 10) ~= '\0\0' then
			return 'CORRUPT'
		end`

// openScript stores the layout when the store is created. The script writes the
// layout again each time, so that Open fails on a server that accepts no
// writes.
//
// KEYS[1] -> prefix meta
// ARGV[1] -> the layout wanted
//
// Returns the stored layout.
//
// Cost: O(1), 3 commands.
var openScript = redis.NewScript(`
local have = redis.call('GET', KEYS[1])
if have and have ~= ARGV[1] then
	return have
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`)

// putScript inserts or replaces an entry.
//
// KEYS[1] -> prefix{shard}:e:ID
// KEYS[2] -> prefix{shard}:due
// KEYS[3] -> prefix{shard}:ids, in a store with pages only
// ARGV[1] -> ID
// ARGV[2] -> new value: version, due, body
// ARGV[3] -> score in the due set: Unix milliseconds or +inf
// ARGV[4] -> version that must be there; empty: no entry may be
// ARGV[5] -> channel on which to signal the write, or ""
//
// Returns OK, EXISTS, CONFLICT or CORRUPT, or DRAWN if the new version is the
// present one by chance. If the stored value equals the new one, this is a
// repeated try whose reply was lost. The script then writes the value again,
// because WAIT waits for the writes of its own connection.
//
// Cost: O(log n) in the shard's entries, 3 commands, with pages one more for an
// insert, and one more for a signal. ZADD goes first, because it fails on a key
// of another type. A user without the right to publish can still write.
var putScript = redis.NewScript(`
local version = ARGV[4]
if version == '' or redis.call('GETRANGE', KEYS[1], '0', '7') ~= version then
	local have = redis.call('GET', KEYS[1])
	if not have then
		if version ~= '' then
			return 'CONFLICT'
		end
	elseif have ~= ARGV[2] then
		` + checkHeader + `
		if string.sub(have, 1, 8) == string.sub(ARGV[2], 1, 8) then
			return 'DRAWN'
		elseif version == '' then
			return 'EXISTS'
		end
		return 'CONFLICT'
	end
end
if version == '' and KEYS[3] then
	redis.call('ZADD', KEYS[3], '0', ARGV[1])
end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[5] ~= '' then
	redis.pcall('PUBLISH', ARGV[5], '')
end
return 'OK'`)

// deleteScript removes an entry. deleteScript also removes a member of the due
// set that has no entry.
//
// KEYS[1] -> prefix{shard}:e:ID
// KEYS[2] -> prefix{shard}:due
// KEYS[3] -> prefix{shard}:ids, in a store with pages only
// ARGV[1] -> ID
// ARGV[2] -> version that must be there
//
// Returns OK, also if there is no entry, CONFLICT or CORRUPT.
//
// Cost: O(log n) in the shard's entries, 3 commands.
var deleteScript = redis.NewScript(`
if redis.call('GETRANGE', KEYS[1], '0', '7') ~= ARGV[2] then
	local have = redis.call('GET', KEYS[1])
	if have then
		` + checkHeader + `
		return 'CONFLICT'
	end
end
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[3] then
	redis.call('ZREM', KEYS[3], ARGV[1])
end
redis.call('DEL', KEYS[1])
return 'OK'`)

// claimScript takes the oldest due entries of one shard, and sets their due
// time to until. claimScript defers damaged entries too, so that they do not
// delay others. claimScript does not change entries that are not on this node
// because their slot is moving. For such entries, EXISTS over two keys fails,
// and a command on one key would answer that they do not exist.
//
// KEYS[1] -> prefix{shard}:due
// ARGV[1] -> now in Unix milliseconds
// ARGV[2] -> until in Unix milliseconds
// ARGV[3] -> until as in a header
// ARGV[4] -> how many at most
// ARGV[5] -> how many bytes of bodies at most
// ARGV[6] -> 1: the first one even if it is larger; 0: not
// ARGV[7] -> prefix{shard}:e:
// ARGV[8] -> new versions, 8 bytes for each
// ARGV[9] -> channel on which to signal that something was taken, or ""
//
// Returns the ID of a damaged entry or an empty string, then for each entry
// taken its ID, its new version and its old value. Returns the error TRYAGAIN
// if nothing could be taken because the slot is moving.
//
// Cost: O(log n + k log n) for k entries, 3 commands for each entry, 2 for the
// script, and one more for a signal.
var claimScript = redis.NewScript(`
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', '0', ARGV[4])
local room = tonumber(ARGV[5])
local reply, moved, away = {''}, {}, false
for _, id in ipairs(ids) do
	local key = ARGV[7] .. id
	local size = redis.pcall('STRLEN', key)
	local value = ''
	if type(size) == 'number' and size >= 16 then
		room = room - size + 16
		if room < 0 and (#reply > 1 or ARGV[6] == '0') then
			break
		end
		value = redis.call('GET', key)
	end
	if value ~= '' and string.byte(value, 1, 1) < 128 and string.sub(value, 9, 10) == '\0\0' then
		local at = 8 * (#reply - 1) / 3
		reply[#reply + 1] = id
		reply[#reply + 1] = string.sub(ARGV[8], at + 1, at + 8)
		reply[#reply + 1] = value
	elseif type(size) == 'table' and not string.find(size.err, 'WRONGTYPE', 1, true) then
		away = true
	elseif type(redis.pcall('EXISTS', KEYS[1], key)) == 'table' then
		away = true
	else
		reply[1] = id
		moved[#moved + 1] = ARGV[2]
		moved[#moved + 1] = id
	end
end
if away and #reply == 1 and #moved == 0 then
	return redis.error_reply('TRYAGAIN the shard is on its way to another node')
end
for i = 2, #reply, 3 do
	moved[#moved + 1] = ARGV[2]
	moved[#moved + 1] = reply[i]
end
if #moved > 0 then
	redis.call('ZADD', KEYS[1], unpack(moved))
end
for i = 2, #reply, 3 do
	redis.call('SETRANGE', ARGV[7] .. reply[i], '0', reply[i + 1] .. ARGV[3])
end
if ARGV[9] ~= '' and #reply > 1 then
	redis.pcall('PUBLISH', ARGV[9], '')
end
return reply`)

// pageScript reads one page of a shard's IDs, and returns the ID of the server:
// ZSCAN's cursor has no meaning on another server.
//
// KEYS[1] -> prefix{shard}:due
// ARGV[1] -> cursor; 0 to begin with
// ARGV[2] -> about how many
//
// Returns the server's run ID or an empty string, the next cursor (0: that was
// the last page), and the IDs, each followed by its score.
//
// Cost: O(page), 2 commands.
var pageScript = redis.NewScript(`
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
return {run, page[1], page[2]}`)
