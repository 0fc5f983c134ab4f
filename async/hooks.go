package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Hooks are functions that a hub calls when something happens to a callback.
// All are optional.
//
// A running hub calls each hook at least once for each event that a hub with
// that hook has learned of. Give all hubs of a store the same hooks. If a hook
// returns an error, panics or outlives its context, the hub retries it with
// backoff. A hub retries the hook of a signal (CancelRequested, Paused, Reset)
// only until the round ends. Hooks may run concurrently. The context of a hook
// ends within ClaimTime. A hook that does not return delays only the other
// hooks of the same entry. A hook gets the callback of the round in which the
// event happened.
type Hooks struct {
	// Delivered is called when Temporal has accepted the outcome.
	// [Pending.Outcome] can still read the outcome, unless an earlier call of
	// the hook has returned nil. After a failure, the outcome can no longer be
	// read when the next attempt has asked.
	Delivered func(ctx context.Context, c Callback) error

	// CancelRequested is called when cancellation of the activity was
	// requested. The activity continues until ReportCanceled, Complete or Fail
	// answers it. The hook may be called before the activity has called
	// Remember: return an error to get another call.
	CancelRequested func(ctx context.Context, c Callback) error

	// Paused is called when the activity was paused, so that no further attempt
	// begins. The hook is called again for the next pause. Answers are still
	// accepted.
	Paused func(ctx context.Context, c Callback) error

	// Reset is called when the activity was reset. The waiting attempt is the
	// last one that began before the reset. Answer the waiting attempt, or fail
	// it so that the next one begins at once.
	Reset func(ctx context.Context, c Callback) error

	// Over is called when the activity ended without an outcome from Latchkey.
	// The reason is one of these:
	//
	//   - ErrExpired: the activity, or its early result, timed out.
	//   - ErrUnknownEnd: it cannot be determined how the activity ended.
	//   - ErrTypeMismatch: an accepted outcome was dropped, since the activity
	//     now awaits another type.
	//   - ErrAbandoned: an operator abandoned the entry.
	//   - [completer.ErrOver]: any other end.
	Over func(ctx context.Context, c Callback, reason error) error

	// Refused is called if Temporal refuses an accepted outcome. If Temporal
	// refuses the arguments of the call, the hook is called at once. If
	// Temporal refuses the hub, the hook is called after a minute, or a little
	// more, in which no other hub has delivered the outcome. The hub continues
	// to retry, and the hook is called again from time to time.
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
