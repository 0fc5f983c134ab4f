package async

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// An entry's ID is derived from what names the activity in Temporal, so that
// every attempt finds the entry without an index. The callback ID is the
// entry's ID and the round's secret: who has it may answer, and who can list
// the store's IDs can't.
const (
	timeLen     = 10 // characters of base32hex: milliseconds since 1970
	hashLen     = 22 // characters of base64url: 16 bytes
	secretLen   = 22
	secretBytes = 16
	entryIDLen  = timeLen + hashLen
	callbackLen = entryIDLen + secretLen
	keyedLen    = hashLen + secretLen // of a callback with a business key
)

// entryID names the entry of an activity. It begins with the time at which the
// activity was scheduled, so that IDs sort by time: a store on a B+tree then
// writes to few pages, where random IDs would touch a page each.
func entryID(r *record.Record) string {
	if r.Key != "" {
		return keyedID(r.Namespace, r.Key)
	}
	var h []byte
	if r.WorkflowId != "" {
		h = digest("workflow", r.Namespace, r.WorkflowId, r.RunId, r.ActivityId, nanos(r.Scheduled))
	} else {
		h = digest("activity", r.Namespace, r.ActivityId, r.ActivityRunId)
	}
	const base32hex = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	ms := uint64(max(0, r.Scheduled/int64(time.Millisecond)))
	var prefix [timeLen]byte
	for i := range prefix {
		prefix[i] = base32hex[ms>>(5*(timeLen-1-i))&31]
	}
	return string(prefix[:]) + base64.RawURLEncoding.EncodeToString(h)
}

// keyedID names the entry of a business key. It has no time: who opens it by
// key doesn't know when its activity was scheduled.
func keyedID(namespace, key string) string {
	return base64.RawURLEncoding.EncodeToString(digest("key", namespace, key))
}

func nanos(n int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return string(b[:])
}

// digest hashes fields so that no two lists of them run together: the first
// names the form, and each has its length before it.
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

func newSecret() []byte {
	b := make([]byte, secretBytes)
	rand.Read(b) // never fails
	return b
}

func callbackID(entryID string, secret []byte) string {
	return entryID + base64.RawURLEncoding.EncodeToString(secret)
}

// splitCallbackID returns the parts of a callback ID, and whether it is one.
func splitCallbackID(id string) (entryID string, secret []byte, ok bool) {
	if len(id) != callbackLen && len(id) != keyedLen || store.CheckID(id) != nil {
		return "", nil, false
	}
	entryID = id[:len(id)-secretLen]
	// Strict, so that no second spelling names the same secret.
	secret, err := base64.RawURLEncoding.Strict().DecodeString(id[len(entryID):])
	return entryID, secret, err == nil
}

// callbackDigest stands for the callback ID of a round that is over.
func callbackDigest(id string) []byte { return digest("callback", id) }

func sameSecret(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// shortID is what may be shown of a callback ID or an entry's ID. The first
// characters are a time, the next tell one activity from another, and the
// secret isn't among them. Nothing is shown of what is neither.
func shortID(id string) string {
	switch len(id) {
	case callbackLen, entryIDLen, keyedLen, hashLen:
		return store.ShortID(id)
	default:
		return ""
	}
}
