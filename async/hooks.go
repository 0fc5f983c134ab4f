package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
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

// listens returns the kinds of notices that have a hook.
func (hs Hooks) listens() (kinds lifecycle.Kinds) {
	for kind := record.NoticeDelivered; kind <= record.NoticeReset; kind++ {
		if hs.has(kind) {
			kinds = kinds.With(kind)
		}
	}
	return kinds
}
