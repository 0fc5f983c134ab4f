package async

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/store"
)

// entries reads and writes the entries of a store.
type entries struct {
	store     store.Store
	retention time.Duration // how long an ended entry answers repeats
	log       *slog.Logger

	keepOutcomes bool // the entry keeps the payload of a delivered outcome
}

// load reads an entry.
func (s *entries) load(ctx context.Context, id string) (entry, error) {
	e, err := s.store.Get(ctx, id)
	if err != nil {
		return entry{}, err
	}
	return decodeEntry(e)
}

// errConflict means that another process has written the entry. The caller must
// read the entry and decide again.
var errConflict = errors.New("async: the entry changed meanwhile")

// save writes an entry with its record's due time, if no other process has
// written it since it was read. save returns the entry with its new version.
// After another write, save returns errConflict. If a driver repeats a write,
// the store can report a conflict with the driver's own first try. Therefore
// save compares the bodies before it returns a conflict.
func (s *entries) save(ctx context.Context, e entry) (entry, error) {
	if lifecycle.TrimNotices(e.rec) {
		s.log.ErrorContext(ctx, "async: a callback has too many notices that no hook has taken, and the oldest is dropped", anys(fields(e.id, e.rec, OpNotify, "dropped", nil))...)
	}
	lifecycle.Shrink(e.rec, s.keepOutcomes)
	if e.due = lifecycle.Due(e.rec, s.retention); !e.until.IsZero() {
		e.due, e.until = e.until, time.Time{}
	}
	w, err := e.encode()
	if err != nil {
		return entry{}, err
	}
	e.version, err = s.store.Put(ctx, w)
	if err == nil {
		return e, nil
	}
	if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
		return entry{}, err
	}
	found, getErr := s.store.Get(ctx, e.id)
	switch {
	case errors.Is(getErr, store.ErrNotFound):
		return entry{}, errConflict
	case getErr != nil:
		return entry{}, getErr
	case bytes.Equal(found.Body, w.Body):
		e.version, e.due = found.Version, found.Due
		return e, nil
	}
	return entry{}, errConflict
}

// maxConflicts is the maximum number of times that one call reads an entry
// again. Each conflict is a step of another call, and an entry takes few steps.
// Only a store that always reports conflicts reaches this limit.
const maxConflicts = 100

var errConflicts = fmt.Errorf("%w, %d times: try again", errConflict, maxConflicts)

// update is the compare-and-swap loop. update calls change and saves the entry,
// and repeats this after a conflict. change reports whether there is a change
// to write. update begins with the given entry, or reads the entry if it has no
// record yet.
func (s *entries) update(ctx context.Context, e entry, change func(e entry) (changed entry, write bool, err error)) (entry, error) {
	var err error
	for tries := range maxConflicts {
		if tries > 0 || e.rec == nil {
			if e, err = s.load(ctx, e.id); err != nil {
				return entry{}, err
			}
		}
		changed, write, err := change(e)
		if err != nil || !write {
			return changed, err
		}
		saved, err := s.save(ctx, changed)
		if err == nil || !errors.Is(err, errConflict) {
			return saved, err
		}
	}
	return entry{}, errConflicts
}
