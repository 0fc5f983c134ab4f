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
	// triedBefore is how much time an answer has that was tried before: what
	// can't be reached must not take the heartbeats' time.
	triedBefore = 30 * time.Second

	// unreadable is how long an entry is left alone that can't be read, or that
	// a newer release has written.
	unreadable = time.Hour
)

// claimed is an entry as a claim gave it.
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

// urgency is by when the entry should be done, where not all can be at once: an
// answer goes before heartbeats, and a heartbeat that has little time left
// before an answer that couldn't be delivered when it was new.
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

// following is what comes after a step, outside of the slot that it had.
type following int

const (
	nothingNext following = iota
	hooksNext             // there is something to tell
	pumpNext              // a beat is due
)

// tend does what is due for an entry that this hub has claimed, and reports
// what is to follow.
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
	case errors.Is(err, errConflict): // who wrote has made the entry due as it needs
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

// putOff has an entry come back soon that this hub can't do now, and not only
// when its claim lapses.
func (r *runner) putOff(ctx context.Context, e entry, soon time.Duration) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	e.until = time.Now().Add(jitter(soon))
	if e.held {
		e.rec.NextNotice = e.until.UnixNano()
	}
	return r.entries.save(ctx, e)
}

// giveBack makes due again what this hub has claimed and no longer gets to.
func (r *runner) giveBack(ctx context.Context, c claimed) {
	if c.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	_, _ = r.entries.save(ctx, c.entry) // else it comes back when its claim lapses
}

// step takes the entry as far as it goes now, and reports what is to follow, for
// which it stays claimed.
func (r *runner) step(ctx context.Context, e entry) (_ entry, next following, err error) {
	now := time.Now()
	switch e.rec.State {
	case record.Waiting:
		if at := lifecycle.QuestionAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return told(r.question(ctx, e))
		}
		if at := lifecycle.BeatAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return r.beater.step(ctx, e, now)
		}
	case record.Settled:
		switch {
		case !lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now):
		case e.rec.Early: // and its activity has not come
			r.rules.at(now).Close(e.rec, record.EndTimedOut)
			return told(saveHeld(ctx, r.entries, r.rules, e, now))
		default:
			return told(r.deliverer.deliver(ctx, e, byRunner))
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
		// Held, so that nobody who writes meanwhile has them called a second time.
		return told(saveHeld(ctx, r.entries, r.rules, e, now))
	}
	// Another hub saw it due that has another retention, say. The claim has
	// moved it: back to when it is.
	e, err = r.entries.save(ctx, e)
	return e, nothingNext, err
}

// told has the hooks follow where this hub has something to tell.
func told(e entry, err error) (entry, following, error) {
	if err == nil && e.held {
		return e, hooksNext, nil
	}
	return e, nothingNext, err
}

// saveHeld saves an entry, and keeps its notices to this hub.
func saveHeld(ctx context.Context, s *entries, by *rules, e entry, now time.Time) (entry, error) {
	e.held = by.at(now).HoldNotices(e.rec)
	return s.save(ctx, e)
}

// ask asks whether an activity is over, by its turn or since its deadline has
// passed: a pause or changed options may have moved that. An answer to a
// question that was put since this one was due will do, so that activities of
// one run share a call.
func (r *runner) question(ctx context.Context, e entry) (entry, error) {
	word, _ := r.deliverer.word(completer.SharedSince(ctx, lifecycle.QuestionAt(e.rec)), e.rec, "")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	now := time.Now()
	r.rules.at(now).Answered(e.rec, word)
	return saveHeld(ctx, r.entries, r.rules, e, now)
}

// jitter spreads d by a quarter to either side, so that what failed together
// doesn't come back together.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}
