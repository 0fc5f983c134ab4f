package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Hooks tell an application what became of its callbacks. Each is called at
// least once, by a hub that runs, for what a hub with that hook has learned;
// all hubs of a store should have the same. A hook that returns an error, panics
// or outlives its context is retried with backoff. Hooks may run concurrently.
// The context ends within ClaimTime. A signal (CancelRequested, Paused, Reset) is
// retried as long as its round goes on. A hook that doesn't return delays only
// the other hooks of the same entry. The callback is that of the round that the
// hook is about.
type Hooks struct {
	// Delivered: Temporal has taken the outcome. [Pending.Outcome] still reads
	// it, unless the hook has returned nil before or, after a failure, the next
	// attempt has asked.
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

// callbackIDOf is the callback ID of the record's current round.
func callbackIDOf(r *record.Record) string { return callbackID(entryID(r), r.Secret) }

// tell calls the hooks for what the entry has untold. The mark that it was told
// is written after the hook has returned nil.
func (h *Hub) tell(ctx context.Context, e entry) {
	calls, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	var done []*record.Notice
	var late *record.Notice // has taken the time of those behind it
	var failure error
	for _, n := range e.rec.Notices {
		if calls.Err() != nil || failure == errBusy || failure == errHangs {
			break // the rest has a claim of its own
		}
		// One that fails keeps the others from nothing.
		switch err := h.call(calls, e, n); {
		case err == nil:
			done = append(done, n)
		case lifecycle.IsSignal(n.Kind) && !lifecycle.StandsFor(e.rec, n) && err != errBusy:
			done = append(done, n) // it was told, and nothing can be done about it any more
			h.troubles.hook.happened(ctx, append(aboutEntry(e.id, err), slog.Bool("retried", false))...)
		default:
			if failure = err; calls.Err() != nil {
				late = n
			}
		}
	}
	switch {
	case failure == errBusy && len(done) == 0:
		return // it comes back when the claim lapses
	case failure != nil:
		h.troubles.hook.happened(ctx, aboutEntry(e.id, failure)...)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	// What a hook has taken stays so, although another process wrote meanwhile.
	_, err := h.update(ctx, e, func(e entry) (entry, bool, error) {
		h.policy(time.Now()).Told(e.rec, done, late, failure != nil)
		return e, lifecycle.Known(e.rec.State), nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errConflict) {
		h.storeFailed(ctx, e.id, err) // and the hooks are called again
	}
}

var errUnknownKind = errors.New("async: the notice is of a newer release")

// listens returns the kinds of notices that have a hook.
func (hs Hooks) listens() (kinds lifecycle.Kinds) {
	for kind := record.NoticeDelivered; kind <= record.NoticeReset; kind++ {
		if hs.has(kind) {
			kinds = kinds.With(kind)
		}
	}
	return kinds
}

// call calls the hook for a notice.
func (h *Hub) call(ctx context.Context, e entry, n *record.Notice) error {
	if n.Kind < record.NoticeDelivered || n.Kind > record.NoticeReset {
		return errUnknownKind
	}
	if !h.hooks.has(n.Kind) {
		return nil // the hub that learned of it had this hook, this one hasn't
	}
	e = e.clone()
	lifecycle.OfNotice(e.rec, n) // as it was when the round of the notice ended
	c := Callback{hub: h, id: new(callbackID(e.id, n.Secret)), entry: e}
	_, err := outside(ctx, &h.hanging, e.id, "the hook", func() (struct{}, error) { return struct{}{}, h.invoke(ctx, c, n) })
	return err
}

func (h *Hub) invoke(ctx context.Context, c Callback, n *record.Notice) error {
	switch n.Kind {
	case record.NoticeDelivered:
		return h.hooks.Delivered(ctx, c)
	case record.NoticeRefused:
		return h.hooks.Refused(ctx, c, completer.ErrRefused)
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
