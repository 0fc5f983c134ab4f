package async

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// triedBefore is how long an answer that was tried before can wait. A
	// namespace that cannot be reached must not delay heartbeats.
	triedBefore = 30 * time.Second

	// unreadable is how long a hub leaves an entry that it cannot read, or that
	// a newer release has written.
	unreadable = time.Hour
)

// claimed is an entry as a claim returned it.
type claimed struct {
	stored store.Entry
	entry
	err error
}

func read(stored store.Entry) claimed {
	e, err := decodeEntry(stored)
	if err == nil && !lifecycle.Known(e.rec.State) {
		err = errNewer
	}
	return claimed{stored, e, err}
}

// urgency returns the time by which the hub should handle an entry if it cannot
// handle all at once. A new answer goes before heartbeats. A heartbeat that has
// little time left goes before an answer whose first delivery failed.
func (c claimed) urgency() time.Time {
	switch {
	case c.err != nil:
	case c.rec.State == record.Settled && c.rec.Delivery.GetTries() == 0:
		return fromNano(c.rec.Delivery.GetNext())
	case c.rec.State == record.Settled:
		return time.Now().Add(triedBefore)
	case c.rec.State == record.Waiting && !lifecycle.BeatAt(c.rec).IsZero():
		return lifecycle.Lapses(c.rec)
	}
	return time.Now().Add(time.Minute)
}

// following is the step that comes after a slot, outside of the slot.
type following int

const (
	nothingNext following = iota
	hooksNext             // hooks must be called next
	pumpNext              // a beat is due
)

// tend does the due work for an entry that this hub has claimed, and returns
// the step that follows.
func (r *runner) tend(ctx context.Context, c claimed) (e entry, next following) {
	e, err := c.entry, c.err
	if err == nil {
		e, next, err = r.step(ctx, e)
	}
	if err == nil {
		return e, next
	}
	r.stepFailed(ctx, c.stored, err)
	return e, nothingNext
}

func (r *runner) stepFailed(ctx context.Context, stored store.Entry, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	switch {
	case errors.Is(err, errConflict): // the other writer has set the due time
	case errors.Is(err, errNewer), errors.Is(err, store.ErrCorrupt):
		r.troubles.unreadable.happened(ctx, append(fields(stored.ID, nil, OpClaim, "unreadable", err), slog.Any("error", err))...)
		stored.Due = time.Now().Add(unreadable)
		if _, err := r.entries.store.Put(ctx, stored); err != nil && !errors.Is(err, store.ErrConflict) {
			r.troubles.storeFailed(ctx, stored.ID, err)
		}
	default:
		r.troubles.storeFailed(ctx, stored.ID, err)
	}
}

// putOff makes an entry due soon if this hub cannot handle it now. Otherwise
// the entry would be due when its claim expires.
func (r *runner) putOff(ctx context.Context, e entry, soon time.Duration) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	e.until = time.Now().Add(jitter(soon))
	if e.held {
		e.rec.NextNotice = e.until.UnixNano()
	}
	return r.entries.save(ctx, e)
}

// giveBack makes a claimed entry due again if this hub can no longer handle it.
func (r *runner) giveBack(ctx context.Context, c claimed) {
	if c.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	_, _ = r.entries.save(ctx, c.entry) // otherwise the entry is due when its claim expires
}

// step handles the entry as far as possible now, and returns the step that
// follows. The entry stays claimed for that step.
func (r *runner) step(ctx context.Context, e entry) (_ entry, next following, err error) {
	now := time.Now()
	switch e.rec.State {
	case record.Waiting:
		if at := lifecycle.QuestionAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return thenHooks(r.question(ctx, e))
		}
		if at := lifecycle.BeatAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return r.beater.step(ctx, e, now)
		}
	case record.Settled:
		switch {
		case !lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now):
		case e.rec.Early: // its activity has not arrived
			r.rules.at(now).Close(e.rec, record.EndTimedOut)
			return thenHooks(saveHeld(ctx, r.entries, r.rules, e, now))
		default:
			return thenHooks(r.deliverer.deliver(ctx, e, byRunner))
		}
	case record.Closed:
		if len(e.rec.Notices) == 0 && lifecycle.IsDue(lifecycle.RemoveAt(e.rec, r.entries.retention), now) {
			err := r.entries.store.Delete(ctx, e.id, e.version)
			if errors.Is(err, store.ErrConflict) {
				err = errConflict
			}
			return entry{}, nothingNext, err
		}
	}
	if len(e.rec.Notices) > 0 && lifecycle.IsDue(fromNano(e.rec.NextNotice), now) {
		// The notices are held, so that no other hub calls their hooks a second
		// time.
		return thenHooks(saveHeld(ctx, r.entries, r.rules, e, now))
	}
	// The entry was due for another hub, which may have another retention. The
	// claim has changed the due time, and save computes it again.
	e, err = r.entries.save(ctx, e)
	return e, nothingNext, err
}

// thenHooks makes the hub call the hooks next if it holds notices.
func thenHooks(e entry, err error) (entry, following, error) {
	if err == nil && e.held {
		return e, hooksNext, nil
	}
	return e, nothingNext, err
}

// saveHeld saves an entry, and holds its notices for this hub.
func saveHeld(ctx context.Context, s *entries, by *rules, e entry, now time.Time) (entry, error) {
	e.held = by.at(now).HoldNotices(e.rec)
	return s.save(ctx, e)
}

// question asks Temporal whether an activity is over. A check of the activity
// is due, or its deadline has passed; a pause or changed options may have moved
// the deadline. Activities of one run share a call. An answer is recent enough
// if its question was sent after this check was due.
func (r *runner) question(ctx context.Context, e entry) (entry, error) {
	word, _ := r.deliverer.word(completer.SharedSince(ctx, lifecycle.QuestionAt(e.rec)), e.rec, "")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	now := time.Now()
	r.rules.at(now).Answered(e.rec, word)
	return saveHeld(ctx, r.entries, r.rules, e, now)
}

// jitter spreads d by up to a quarter in both directions, so that calls that
// failed together are not retried together.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}
