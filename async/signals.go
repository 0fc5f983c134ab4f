package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// standing returns the signals that are in force, as errors.
func standing(r *record.Record) error {
	var signals []error
	if r.CancelRequested {
		signals = append(signals, ErrCancelRequested)
	}
	if r.Paused {
		signals = append(signals, ErrPaused)
	}
	if r.ResetRequested {
		signals = append(signals, ErrReset)
	}
	return errors.Join(signals...)
}

// Heartbeat reports that the external system is at work. Heartbeat stores
// details, which replace the earlier ones. Without arguments, the earlier
// details are sent again. A running hub sends the details, usually at once, and
// always before the activity's outcome. Calls within a second share one
// heartbeat. A later attempt reads the details with
// activity.GetHeartbeatDetails.
//
// Heartbeat returns nil, or the signals of the last heartbeat at Temporal:
// ErrCancelRequested, ErrPaused and ErrReset, joined if there are several.
// Heartbeat stores the details even if it returns a signal.
//
// Other errors: Heartbeat returns ErrClosed if the activity is over, ErrSettled
// if it was answered, and ErrSuperseded if a later round waits. Heartbeat
// returns ErrTooLarge if the details were refused, since Temporal would have
// failed the activity.
func (c Callback) Heartbeat(ctx context.Context, details ...any) error {
	return failed("heartbeat", c.entryID(), c.heartbeat(ctx, details))
}

func (c Callback) heartbeat(ctx context.Context, details []any) error {
	if c.hub == nil {
		return errZero
	}
	if len(details) == 1 && details[0] == nil {
		details = nil // the SDK also sends no details for a single nil
	}
	enc, err := c.hub.encoder.in(ctx)
	if err != nil {
		return err
	}
	var now time.Time
	e, err := c.update(ctx, func(e entry) (_ entry, _ bool, err error) {
		now = time.Now() // after the entry was read, so that these details are newer than those in the entry
		switch e.rec.State {
		case record.Waiting:
		case record.Settled:
			return e, false, fmt.Errorf("%w: a %s", ErrSettled, kindName(e.rec.Outcome.GetKind()))
		case record.Closed:
			return e, false, closedError(e.rec)
		default:
			return e, false, errNewer
		}
		var brought []byte
		if len(details) > 0 {
			if brought, err = enc.details(e.rec, details); err != nil {
				return e, false, err
			}
		}
		if lifecycle.Brought(e.rec, brought, now) {
			c.hub.beater.schedule(e, now)
		}
		return e, true, nil
	})
	if err != nil {
		return err
	}
	if at := lifecycle.BeatAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
		c.hub.wheel.wake()
	}
	return standing(e.rec)
}
