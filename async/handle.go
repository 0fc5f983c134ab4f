package async

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// handle identifies the round of a [Callback], in its state when the callback
// was opened.
type handle struct {
	id    *record.CallbackID // nil for a business key that no activity has used yet; a pointer, so that fmt does not print it
	entry entry              // never written to
	key   *keyed             // set if the callback was opened by business key
}

// entryID returns the ID of the entry, or "".
func (c handle) entryID() string {
	if c.id == nil {
		return ""
	}
	return c.id.EntryID()
}

// update changes the entry if it is still in the round of the handle.
func (c handle) update(ctx context.Context, s *entries, change func(e entry) (_ entry, write bool, err error)) (entry, error) {
	e, err := s.update(ctx, entry{id: c.entry.id}, func(e entry) (entry, bool, error) {
		if err := c.isCurrent(e); err != nil {
			return e, false, err
		}
		return change(e)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknown
	}
	return e, err
}

// isCurrent returns an error unless the entry is in the handle's round.
func (c handle) isCurrent(e entry) error {
	if c.key != nil {
		return nil // the handle stands for the current round, whichever that is
	}
	switch current, before := c.id.RoundOf(e.rec); {
	case current:
		return nil
	case before != nil:
		return ErrSuperseded
	default:
		return errUnknown
	}
}

// readFor returns the entry on which an outcome is settled. The first try uses
// the entry that was read when the callback was opened. If the entry has
// changed since, the store reports a conflict, and the next try reads it.
func (c handle) readFor(ctx context.Context, s *entries, o offer, tries int) (entry, *record.Round, error) {
	e := c.entry
	if tries > 0 || c.key != nil || o.kind == record.Cancellation || e.rec.State != record.Waiting {
		return c.read(ctx, s)
	}
	if current, _ := c.id.RoundOf(e.rec); !current {
		return c.read(ctx, s)
	}
	return e.clone(), nil, nil
}

// read reads the entry again, and the handle's round if that round is over.
func (c handle) read(ctx context.Context, s *entries) (entry, *record.Round, error) {
	e, err := s.load(ctx, c.entry.id)
	if errors.Is(err, store.ErrNotFound) {
		return entry{}, nil, errUnknown
	}
	if err != nil {
		return entry{}, nil, err
	}
	if c.key != nil {
		return e, nil, nil // the handle stands for the current round, whichever that is
	}
	current, before := c.id.RoundOf(e.rec)
	if !current && before == nil {
		return entry{}, nil, errUnknown
	}
	return e, before, nil
}
