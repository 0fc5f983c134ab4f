package async

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Find returns the callback of an entry by its [Info].ID. Find is for
// operators' tools. Unlike the entry's ID, the returned callback authorizes an
// answer, so only code that has authorized the caller should have it.
// ErrNotFound means that the store has no such entry, or that entryID does not
// have the form of an entry's ID.
func (h *Hub) Find(ctx context.Context, entryID string) (Callback, error) {
	c, err := h.find(ctx, entryID)
	if len(entryID) != record.EntryIDLen {
		entryID = "" // a string with the length of a keyed entry's ID may be a secret
	}
	return c, failed("find", entryID, err)
}

func (h *Hub) find(ctx context.Context, id string) (Callback, error) {
	if h == nil {
		return Callback{}, fmt.Errorf("%w: a nil hub", ErrNotFound)
	}
	if len(id) != record.EntryIDLen && len(id) != record.KeyedEntryIDLen || store.CheckID(id) != nil {
		return Callback{}, fmt.Errorf("%w: not the ID of an entry, which has %d characters of A-Z a-z 0-9 - _ (%d with a business key); Info.ID has it", ErrNotFound, record.EntryIDLen, record.KeyedEntryIDLen)
	}
	e, err := h.entries.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknown
	}
	if err != nil {
		return Callback{}, err
	}
	return h.callbackOf(e), nil
}

// callbackOf returns the callback of an entry's current round.
func (h *Hub) callbackOf(e entry) Callback {
	return Callback{h, handle{id: new(e.callbackID()), entry: e}}
}
