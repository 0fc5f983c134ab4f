package async

import (
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// shortID returns what may be shown of the ID of an entry that Latchkey made. The
// first characters are a time, the next distinguish activities. It returns "" for
// any other string, since the secret of a callback ID authorizes an answer.
func shortID(entryID string) string {
	switch len(entryID) {
	case record.EntryIDLen, record.KeyedEntryIDLen:
		return store.ShortID(entryID)
	default:
		return ""
	}
}
