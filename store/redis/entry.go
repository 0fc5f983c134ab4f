package redis

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// header is the length of the bytes before an entry's body. The header contains
// the entry's version, and its due time in Unix milliseconds or 0 for never,
// big-endian.
const header = 16

// shard hashes an ID with FNV-1a. The results of shard are part of the layout
// and must not change.
func (s *Store) shard(id string) int {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return int((h ^ h>>16) % uint32(len(s.due)))
}

func (s *Store) tag(shard int) string     { return s.prefix + "{" + strconv.Itoa(shard) + "}:" }
func (s *Store) entries(shard int) string { return s.tag(shard) + "e:" }
func (s *Store) dueSet(shard int) string  { return s.tag(shard) + "due" }
func (s *Store) idSet(shard int) string   { return s.tag(shard) + "ids" }
func (s *Store) metaKey() string          { return s.prefix + "meta" }
func (s *Store) entryKey(shard int, id string) string {
	return s.entries(shard) + id
}

// encode returns the stored value of e with a new version.
func encode(e store.Entry) (version uint64, value []byte) {
	value = make([]byte, 0, header+len(e.Body))
	value = append(value, drawVersions(1)...)
	version = binary.BigEndian.Uint64(value)
	value = append(value, dueBytes(e.Due)...)
	return version, append(value, e.Body...)
}

// decode returns the entry with the ID id for a stored value.
func decode(id, value string) (store.Entry, error) {
	if len(value) < header {
		return store.Entry{}, fmt.Errorf("%w: its value is shorter than a header", store.ErrCorrupt)
	}
	version := binary.BigEndian.Uint64([]byte(value[:8]))
	due := binary.BigEndian.Uint64([]byte(value[8:header]))
	if version == 0 || version>>63 != 0 {
		return store.Entry{}, fmt.Errorf("%w: its version is none of ours", store.ErrCorrupt)
	}
	e := store.Entry{ID: id, Version: version, Body: []byte(value[header:])}
	if due != 0 {
		e.Due = time.UnixMilli(int64(due)).UTC()
	}
	if due>>63 != 0 || e.Check() != nil {
		return store.Entry{}, fmt.Errorf("%w: its due time is none of ours", store.ErrCorrupt)
	}
	return e, nil
}

func versionBytes(version uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, version))
}

func dueBytes(due time.Time) string {
	if due.IsZero() {
		return "\x00\x00\x00\x00\x00\x00\x00\x00"
	}
	return string(binary.BigEndian.AppendUint64(nil, uint64(due.UnixMilli())))
}

// score returns the score of a due time in the due set.
func score(due time.Time) string {
	if due.IsZero() {
		return "+inf"
	}
	return strconv.FormatInt(due.UnixMilli(), 10)
}
