package async

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Abandon ends the entry by an operator's decision. An accepted outcome is not
// delivered, Temporal is not called, and the Over hook gets ErrAbandoned. In
// Temporal the activity continues; its next attempt asks again. Abandon returns
// nil if the entry was abandoned before, and ErrClosed if the activity is over.
func (c Callback) Abandon(ctx context.Context) error {
	return failed("abandon", c.entryID(), c.abandon(ctx))
}

func (c Callback) abandon(ctx context.Context) error {
	if c.hub == nil {
		return errZero
	}
	note, err := callNoteOf(ctx)
	if err != nil {
		return err
	}
	written := false
	_, err = c.update(ctx, func(e entry) (entry, bool, error) {
		switch {
		case !lifecycle.Known(e.rec.State):
			return e, false, errNewer
		case e.rec.State == record.Closed && e.rec.End == record.EndAbandoned:
			return e, false, nil
		case e.rec.State == record.Closed:
			return e, false, closedError(e.rec)
		}
		if err := note.addTo(e.rec); err != nil {
			return e, false, err
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
