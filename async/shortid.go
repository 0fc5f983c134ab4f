package async

import (
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// shortID returns the part of an entry's ID or a callback ID that may be shown.
// The first characters are a time, the next ones distinguish activities, and
// the secret is not among them. shortID returns "" for a string of another
// length. A caller's string must be parsed first, because a secret alone has
// the length of a keyed entry's ID.
func shortID(id string) string {
	switch len(id) {
	case record.EntryIDLen, record.KeyedEntryIDLen, record.CallbackIDLen, record.KeyedCallbackIDLen:
		return store.ShortID(id)
	default:
		return ""
	}
}
