package async

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// maxNotices bounds what an entry has untold at once: a hook that has
	// failed for that many endings isn't told of the oldest.
	maxNotices  = 16
	firstNotice = time.Second
	lastNotice  = 10 * time.Minute
)

// Hooks tell an application what became of its callbacks. Each is called at
// least once, by a hub that runs, for what a hub with that hook has learned;
// all hubs of a store should have the same. What returns an error, panics, or
// is not back when its context ends, which is within ClaimTime, is called
// again later, a signal (CancelRequested, Paused, Reset) as long as its round
// goes on; one that isn't back delays only what else is to be told of the same
// entry. The callback is that of the round that it is about.
type Hooks struct {
	// Delivered: Temporal has taken the outcome.
	Delivered func(ctx context.Context, c Callback) error

	// CancelRequested: somebody wants the activity cancelled. It goes on, and
	// is answered by ReportCanceled, Complete or Fail. It may be told before
	// Remember was called: return an error, to be called again.
	CancelRequested func(ctx context.Context, c Callback) error

	// Paused: no further attempt begins until somebody lifts the pause; told
	// again for the next pause. An answer is taken all the same.
	Paused func(ctx context.Context, c Callback) error

	// Reset: the activity is to begin anew. This attempt is the last that began
	// before, and may be answered, or failed so that the next begins at once.
	Reset func(ctx context.Context, c Callback) error

	// Over: the activity ended without an outcome of ours. The reason is
	// ErrExpired where it timed out, or its early answer did; ErrUnknownEnd;
	// ErrTypeMismatch where what was accepted was dropped, since the activity
	// awaits another type now; ErrAbandoned; else ErrOver.
	Over func(ctx context.Context, c Callback, reason error) error

	// Refused is called for an outcome that is accepted and that Temporal refuses.
	// Where Temporal refuses the arguments of the call, it is called at once.
	// Where Temporal refuses the hub, it is called after a minute or a little
	// more in which no other hub has delivered the outcome. The hub goes on to
	// retry, and the hook is called again from time to time.
	Refused func(ctx context.Context, c Callback, cause error) error
}

// has reports whether there is a hook for a kind of notice.
func (hs Hooks) has(kind record.NoticeKind) bool {
	switch kind {
	case record.NoticeDelivered:
		return hs.Delivered != nil
	case record.NoticeOver:
		return hs.Over != nil
	case record.NoticeRefused:
		return hs.Refused != nil
	case record.NoticeCancelRequested:
		return hs.CancelRequested != nil
	case record.NoticePaused:
		return hs.Paused != nil
	case record.NoticeReset:
		return hs.Reset != nil
	default:
		return false
	}
}

// isSignal reports whether a notice is of something that an activity that goes on
// may react to.
func isSignal(kind record.NoticeKind) bool {
	return kind >= record.NoticeCancelRequested && kind <= record.NoticeReset
}

// standsFor reports whether the round of a notice still goes on.
func standsFor(r *record.Record, n *record.Notice) bool {
	return r.State != record.Closed && sameSecret(r.Secret, n.Secret)
}

// notice has the application told of the current round, by whichever hub runs.
func (h *Hub) notice(r *record.Record, kind record.NoticeKind, why record.End, now time.Time) {
	h.noticeOf(r, aboutRound(r), kind, why, now)
}

// aboutRound is what a notice keeps of a round, which may end before it is told.
func aboutRound(r *record.Record) *record.Notice {
	return &record.Notice{Secret: r.Secret, Reference: r.Reference, Outcome: r.Outcome.GetKind()}
}

func (h *Hub) noticeOf(r *record.Record, n *record.Notice, kind record.NoticeKind, why record.End, now time.Time) {
	if !h.hooks.has(kind) {
		return
	}
	n.Kind, n.Reason = kind, why
	if slices.ContainsFunc(r.Notices, func(other *record.Notice) bool { return sameNotice(other, n) }) {
		return
	}
	r.Notices = append(r.Notices, n)
	if n := len(r.Notices) - maxNotices; n > 0 {
		h.log.Error("async: too much is untold of one callback, and the oldest notice is dropped", slog.String("callback", shortID(callbackIDOf(r))))
		r.Notices = r.Notices[n:]
	}
	r.NextNotice, r.NoticeTries = now.UnixNano(), 0
}

// callbackIDOf is the callback ID of the record's current round.
func callbackIDOf(r *record.Record) string { return callbackID(entryID(r), r.Secret) }

// holdNotices keeps what is untold, and due to be told, to the hub that has the
// entry claimed.
func (h *Hub) holdNotices(e *entry, now time.Time) {
	if e.held = len(e.rec.Notices) > 0 && isDue(fromNano(e.rec.NextNotice), now); e.held {
		e.rec.NextNotice = now.Add(h.claimTime).UnixNano()
	}
}

// tell calls the hooks for what the entry has untold. The mark that it was told
// is written after the hook has returned nil.
func (h *Hub) tell(ctx context.Context, e entry) {
	calls, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	var done []*record.Notice
	var late *record.Notice // has taken the time of those behind it
	var failure error
	for _, n := range e.rec.Notices {
		if calls.Err() != nil || errors.Is(failure, errBusy) || errors.Is(failure, errHangs) {
			break // the rest has a claim of its own
		}
		// One that fails keeps the others from nothing.
		switch err := h.call(calls, e, n); {
		case err == nil:
			done = append(done, n)
		case isSignal(n.Kind) && !standsFor(e.rec, n) && !errors.Is(err, errBusy):
			done = append(done, n) // it was told, and nothing can be done about it any more
			h.troubles.hook.happened(ctx, append(aboutEntry(e.id, err), slog.Bool("retried", false))...)
		default:
			if failure = err; calls.Err() != nil {
				late = n
			}
		}
	}
	switch {
	case errors.Is(failure, errBusy) && len(done) == 0:
		return // it comes back when the claim lapses
	case failure != nil:
		h.troubles.hook.happened(ctx, aboutEntry(e.id, failure)...)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	// What was told stays told, although somebody wrote meanwhile.
	for range maxConflicts {
		if !known(e.rec.State) {
			return
		}
		e.rec.Notices = lastly(without(e.rec.Notices, done), late)
		e.rec.NextNotice = time.Now().UnixNano()
		if failure != nil {
			e.rec.NoticeTries++
			e.rec.NextNotice = time.Now().Add(jitter(doubled(firstNotice, lastNotice, int(e.rec.NoticeTries)))).UnixNano()
		}
		e.due = h.dueAt(e.rec)
		_, err := h.save(ctx, e)
		if errors.Is(err, errConflict) {
			if e, err = h.load(ctx, e.id); err == nil {
				continue
			}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			h.storeFailed(ctx, e.id, err) // and the hooks are called again
		}
		return
	}
}

// ofNotice returns the entry as it was when the round of the notice ended.
func (e entry) ofNotice(n *record.Notice) entry {
	e = e.clone()
	if sameSecret(e.rec.Secret, n.Secret) {
		return e
	}
	newRound(e.id, e.rec, false)
	e.rec.Secret, e.rec.Reference = n.Secret, n.Reference
	e.rec.State, e.rec.End = record.Closed, n.Reason
	if n.Outcome != record.NoKind {
		e.rec.Outcome = &record.Outcome{Kind: n.Outcome}
		e.rec.Delivery = &record.Delivery{Delivered: n.Kind == record.NoticeDelivered}
	}
	return e
}

func without(all, done []*record.Notice) []*record.Notice {
	return slices.DeleteFunc(slices.Clone(all), func(n *record.Notice) bool {
		return slices.ContainsFunc(done, func(d *record.Notice) bool { return sameNotice(d, n) })
	})
}

// lastly puts one of the notices, where there is one, behind the others.
func lastly(all []*record.Notice, late *record.Notice) []*record.Notice {
	i := slices.IndexFunc(all, func(n *record.Notice) bool { return late != nil && sameNotice(n, late) })
	if i < 0 {
		return all
	}
	last := all[i]
	return append(slices.Delete(all, i, i+1), last)
}

// sameNotice reports whether two notices tell the same. The reference may have
// come to one of them later.
func sameNotice(a, b *record.Notice) bool {
	return a.Kind == b.Kind && a.Reason == b.Reason && a.Outcome == b.Outcome && sameSecret(a.Secret, b.Secret)
}

var (
	errBusy        = errors.New("async: the call before has not come back")
	errHangs       = errors.New("async: the call did not come back in time")
	errPanicked    = errors.New("async: the call panicked")
	errUnknownKind = errors.New("async: the notice is of a newer release")
)

// call calls the hook for a notice.
func (h *Hub) call(ctx context.Context, e entry, n *record.Notice) error {
	if n.Kind < record.NoticeDelivered || n.Kind > record.NoticeReset {
		return errUnknownKind
	}
	if !h.hooks.has(n.Kind) {
		return nil // the hub that learned of it had this hook, this one hasn't
	}
	c := Callback{hub: h, id: new(callbackID(e.id, n.Secret)), entry: e.ofNotice(n)}
	return h.outside(ctx, &h.hanging, e.id, func() error { return h.invoke(ctx, c, n) })
}

// outside calls the application, in a goroutine that is given up where the call
// hangs. Until it is back no other is made for the entry.
func (h *Hub) outside(ctx context.Context, busy *sync.Map, id string, f func() error) error {
	if _, is := busy.LoadOrStore(id, true); is {
		return errBusy
	}
	back := make(chan error, 1)
	go func() {
		err := errPanicked // also where it ends its goroutine
		defer func() {
			_ = recover()
			busy.Delete(id) // before the next of this entry is called
			back <- err
		}()
		err = f()
	}()
	select {
	case err := <-back:
		return err
	case <-ctx.Done():
		// It may have come back at that very moment.
		select {
		case err := <-back:
			return err
		default:
			return errHangs
		}
	}
}

func (h *Hub) invoke(ctx context.Context, c Callback, n *record.Notice) error {
	switch n.Kind {
	case record.NoticeDelivered:
		return h.hooks.Delivered(ctx, c)
	case record.NoticeRefused:
		return h.hooks.Refused(ctx, c, ErrRefused)
	case record.NoticeCancelRequested:
		return h.hooks.CancelRequested(ctx, c)
	case record.NoticePaused:
		return h.hooks.Paused(ctx, c)
	case record.NoticeReset:
		return h.hooks.Reset(ctx, c)
	default:
		return h.hooks.Over(ctx, c, endError(n.Reason))
	}
}
