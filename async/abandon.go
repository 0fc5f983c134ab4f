package async

import (
	"context"
	"errors"
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
	return failed("abandon", c.ID(), c.abandon(ctx))
}

func (c Callback) abandon(ctx context.Context) error {
	if c.hub == nil {
		return errZero
	}
	for range maxConflicts {
		e, err := c.current(ctx)
		if err != nil {
			return err
		}
		if !lifecycle.Known(e.rec.State) {
			return errNewer
		}
		if e.rec.State == record.Closed {
			if e.rec.End == record.EndAbandoned {
				return nil
			}
			return closedError(e.rec)
		}
		c.hub.end(&e, record.EndAbandoned, time.Now())
		if _, err = c.hub.save(ctx, e); errors.Is(err, errConflict) {
			continue
		}
		c.hub.wakeUp()
		return err
	}
	return errConflicts
}
