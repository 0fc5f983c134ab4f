package async

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Abandon ends the entry undelivered, by an operator's word: what was
// accepted is not delivered, Temporal isn't called, and the Over hook gets
// ErrAbandoned. The activity goes on as far as Temporal is concerned; a later
// attempt of it asks again. It is nil where the entry was abandoned before, and
// ErrClosed where the activity is over.
func (c Callback) Abandon(ctx context.Context) error {
	return failed("abandon", c.entryID(), c.abandon(ctx))
}

func (c Callback) abandon(ctx context.Context) error {
	if c.hub == nil {
		return errZero
	}
	written := false
	_, err := c.update(ctx, func(e entry) (entry, bool, error) {
		switch {
		case !lifecycle.Known(e.rec.State):
			return e, false, errNewer
		case e.rec.State == record.Closed && e.rec.End == record.EndAbandoned:
			return e, false, nil
		case e.rec.State == record.Closed:
			return e, false, closedError(e.rec)
		}
		c.hub.rules.at(time.Now()).Close(e.rec, record.EndAbandoned)
		written = true
		return e, true, nil
	})
	if written {
		c.hub.wheel.wake()
	}
	return err
}
