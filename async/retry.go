package async

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Retry ends the backoff of the delivery of an accepted outcome, and of hooks
// that have failed. A running hub then tries at once. Call Retry when the cause
// of the failures is gone. While no hub can reach Temporal for the namespace,
// Retry has no effect.
//
// Retry returns nil if the outcome was delivered, and ErrNoOutcome if no
// outcome was accepted. Retry returns ErrNotFound for an early result whose
// activity has not arrived, and ErrClosed if the activity ended without the
// outcome.
func (c Callback) Retry(ctx context.Context) error {
	return failed("retry", c.entryID(), c.retry(ctx))
}

func (c Callback) retry(ctx context.Context) error {
	if c.hub == nil {
		return errZero
	}
	note, err := callNoteOf(ctx)
	if err != nil {
		return err
	}
	retried := false
	_, err = c.update(ctx, func(e entry) (entry, bool, error) {
		retried = lifecycle.Retry(e.rec, time.Now())
		switch {
		case retried:
			err := note.addTo(e.rec)
			return e, err == nil, err
		case !lifecycle.Known(e.rec.State):
			return e, false, errNewer
		case e.rec.State == record.Waiting:
			return e, false, ErrNoOutcome
		case e.rec.State == record.Settled:
			return e, false, errNotYetAsked
		case e.rec.End == record.EndDelivered:
			return e, false, nil
		default:
			return e, false, closedError(e.rec)
		}
	})
	if retried && err == nil {
		c.hub.wheel.wake()
	}
	return err
}

// errNotYetAsked is the error of a Retry of an early result.
var errNotYetAsked = fmt.Errorf("%w: no activity has this key yet; its Start delivers the result", ErrNotFound)
