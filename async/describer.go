package async

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// describer asks Temporal about activities.
type describer struct {
	completer completer.Completer // nil if this hub only settles; describe must not be called then
	claimTime time.Duration
}

// describe returns Temporal's state of the record's activity. The call ends
// before the claim of its entry expires.
func (d describer) describe(ctx context.Context, r *record.Record, mark string) (completer.Status, error) {
	ctx, cancel := d.withinClaim(ctx)
	defer cancel()
	return d.completer.Describe(ctx, target(r).ByID(), mark)
}

// withinClaim returns a context that ends before a claim made now expires.
// withinClaim returns ctx itself if ctx ends sooner.
func (d describer) withinClaim(ctx context.Context) (context.Context, context.CancelFunc) {
	most := d.claimTime - callMargin
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= most {
		return ctx, func() {}
	}
	bounded := withTimeout(ctx, most)
	return bounded, bounded.end
}

// word calls describe and translates its answer for the rules.
func (d describer) word(ctx context.Context, r *record.Record, mark string) (*lifecycle.Word, error) {
	status, err := d.describe(ctx, r, mark)
	if err != nil {
		return nil, fmt.Errorf("cannot ask Temporal about the activity now: %w", err)
	}
	return new(wordOf(status)), nil
}

// wordOf translates Temporal's status for the rules.
func wordOf(s completer.Status) lifecycle.Word {
	w := lifecycle.Word{
		Pending: s.Pending, Running: s.Running, CancelRequested: s.CancelRequested, Paused: s.Paused,
		Started: toNano(s.Started), LastMark: s.LastMark, Buffered: s.End == completer.EndBuffered,
		Details: digestOf(s.Details), LastBeat: toNano(s.LastHeartbeat),
	}
	switch s.End {
	case completer.EndOurs:
		w.End = record.EndDelivered
	case completer.EndTimedOut:
		w.End = record.EndTimedOut
	case completer.EndOther:
		w.End = record.EndOther
	default:
		w.End = record.EndUnknown
	}
	return w
}
