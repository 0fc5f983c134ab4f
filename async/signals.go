package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// standing are the signals as errors.
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

// Heartbeat says that the outside is at work, with these details in place of
// those before, and returns the signals that stand: ErrCancelRequested,
// ErrPaused and ErrReset, joined where there are several, as the last heartbeat
// at Temporal learned of them. With a signal the details are taken all the
// same. Without details it is those before that are sent again.
//
// Nil, or a signal, means that the details are in the store: a hub that runs
// sends them, usually at once, those of calls less than a second apart together,
// and before the activity's outcome. A later attempt finds them with
// activity.GetHeartbeatDetails.
//
// ErrClosed means that the activity is over, ErrSettled that it has been
// answered, ErrSuperseded that a later asking is under way, and ErrTooLarge that
// the details were refused, since Temporal would have failed the activity for
// them.
func (c Callback) Heartbeat(ctx context.Context, details ...any) error {
	return failed("heartbeat", c.entryID(), c.heartbeat(ctx, details))
}

func (c Callback) heartbeat(ctx context.Context, details []any) error {
	if c.hub == nil {
		return errZero
	}
	if len(details) == 1 && details[0] == nil {
		details = nil // as in the SDK
	}
	enc, err := c.hub.encoder.in(ctx)
	if err != nil {
		return err
	}
	var now time.Time
	e, err := c.update(ctx, func(e entry) (_ entry, _ bool, err error) {
		now = time.Now() // when the entry was read: what the function records before that is older
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
