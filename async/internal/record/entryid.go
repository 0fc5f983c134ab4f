package record

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

const (
	timeLen = 10 // characters of base32hex: milliseconds since 1970

	// KeyedEntryIDLen is the length of the ID of an entry with a business key:
	// 16 bytes in base64url. EntryIDLen is the length of every other entry's
	// ID.
	KeyedEntryIDLen = 22
	EntryIDLen      = timeLen + KeyedEntryIDLen
)

// EntryID returns the ID of an activity's entry. The ID is derived from the
// activity's names in Temporal, so that every attempt finds the entry without
// an index.
//
// The ID begins with the time at which the activity was scheduled, so that IDs
// sort by time. A store on a B+tree then writes to few pages; with random IDs,
// it would write to a different page for each entry. The ID of a business key
// has no time, because a caller that opens it by key does not know when its
// activity was scheduled.
func EntryID(r *Record) string {
	if r.Key != "" {
		return KeyedEntryID(r.Namespace, r.Key)
	}
	var h []byte
	if r.WorkflowId != "" {
		h = digest("workflow", r.Namespace, r.WorkflowId, r.RunId, r.ActivityId, nanos(r.Scheduled))
	} else {
		h = digest("activity", r.Namespace, r.ActivityId, r.ActivityRunId)
	}
	const base32hex = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	ms := uint64(max(0, r.Scheduled/int64(time.Millisecond)))
	id := make([]byte, timeLen, EntryIDLen)
	for i := range id {
		id[i] = base32hex[ms>>(5*(timeLen-1-i))&31]
	}
	return string(base64.RawURLEncoding.AppendEncode(id, h))
}

// KeyedEntryID returns the ID of the entry for a business key.
func KeyedEntryID(namespace, key string) string {
	return base64.RawURLEncoding.EncodeToString(digest("key", namespace, key))
}

func nanos(n int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return string(b[:])
}

// digest hashes fields so that two different lists of fields have different
// inputs. The first field names the kind of the list, and the length of each
// field precedes the field.
func digest(fields ...string) []byte {
	h := sha256.New()
	var n [8]byte
	for _, f := range fields {
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		h.Write(n[:])
		h.Write([]byte(f))
	}
	return h.Sum(nil)[:16]
}
