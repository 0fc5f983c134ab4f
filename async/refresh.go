package async

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// refreshWait is how long Refresh waits for Temporal.
const refreshWait = 500 * time.Millisecond

// Refresh returns the current state of the callback. Call Refresh before you
// show an activity to a person who is about to decide. While the activity
// waits, Refresh asks Temporal about it, if this hub has a completer and
// reaches Temporal. Info then has the signals that are in force, such as
// CancelRequested, and the state of an activity that has ended without an
// outcome is Closed. Refresh waits for Temporal for at most half a second.
// Without Temporal's answer, Refresh returns the state in the store.
//
// Errors: Refresh returns ErrSuperseded if the callback's round is over,
// ErrNotFound, and errors of the store.
func (c Callback) Refresh(ctx context.Context) (Callback, error) {
	now, err := c.refresh(ctx)
	return now, failed("refresh", c.entryID(), err)
}

func (c Callback) refresh(ctx context.Context) (Callback, error) {
	if c.hub == nil {
		return Callback{}, errZero
	}
	h := c.hub
	e, before, err := c.read(ctx, c.hub.entries)
	switch {
	case err != nil:
		return Callback{}, err
	case before != nil:
		return Callback{}, ErrSuperseded
	}
	c.entry = e
	if e.rec.State != record.Waiting || h.completer == nil {
		return c, nil
	}
	if admitted, _ := h.health.admits(way{e.rec.Namespace, aBeat}, time.Now()); !admitted {
		return c, nil
	}
	call, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	word, err := h.deliverer.word(call, e.rec, "")
	if err != nil {
		return c, nil // the state in the store is the answer
	}
	over := false
	changed, err := h.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		over = false
		if e.rec.State != record.Waiting || e.rec.Started != c.entry.rec.Started || c.isCurrent(e) != nil {
			return e, false, nil // Temporal's answer is about another attempt
		}
		e = e.clone()
		was := proto.CloneOf(e.rec)
		if word.Over() {
			h.rules.at(time.Now()).Close(e.rec, word.EndOfOther())
			over = true
		} else if word.Pending {
			h.rules.at(time.Now()).Signalled(e.rec, word.Signals(e.rec))
		}
		return e, !proto.Equal(was, e.rec), nil
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknown
	}
	if err != nil {
		return Callback{}, err
	}
	if over {
		h.wheel.wake()
	}
	c.entry = changed
	return c, c.isCurrent(changed)
}
