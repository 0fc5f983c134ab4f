package async

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Retry makes due now what hubs would retry later: the delivery of the outcome
// that was accepted, and hooks that have failed. A hub that runs then tries at
// once. Call it when the cause of the failures is gone. While no hub reaches
// Temporal for the namespace it has no effect.
//
// Retry returns nil where the outcome was delivered, ErrNoOutcome where nothing
// has been accepted, ErrNotFound for an early result whose activity has not come,
// and ErrClosed where the activity ended without the outcome.
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

// errNotYetAsked refuses to retry an early result.
var errNotYetAsked = fmt.Errorf("%w: no activity has this key yet; its Start delivers the result", ErrNotFound)
