package async

import (
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// shortID returns what may be shown of an entry's ID or a callback ID that Latchkey
// made. The first characters are a time, the next distinguish activities, and the
// secret is not among them. It returns "" for a string of another length. A string
// of a caller is parsed first: a secret alone has the length of a key's entry ID.
func shortID(id string) string {
	switch len(id) {
	case record.EntryIDLen, record.KeyedEntryIDLen, record.CallbackIDLen, record.KeyedCallbackIDLen:
		return store.ShortID(id)
	default:
		return ""
	}
}
