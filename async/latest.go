package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
)

type latestKey struct{}

// WithLatest returns a context for one answer. When Complete, Fail, Reject or
// ReportCanceled returns nil, *c is the callback after the call. The Info of *c
// says when the answer was accepted and whether Temporal has it, without
// another read of the store. A call that returns an error does not change *c. c
// must point to a copy of the answered callback. Only the call may use *c until
// it returns.
func WithLatest(ctx context.Context, c *Callback) context.Context {
	return context.WithValue(ctx, latestKey{}, c)
}

// latest is the variable for the callback's new state after an answer; nil if
// the caller does not want it.
type latest struct{ c *Callback }

func latestOf(ctx context.Context) latest {
	c, _ := ctx.Value(latestKey{}).(*Callback)
	return latest{c}
}

// accepted keeps the entry in its saved state. accepted copies the record,
// because the delivery changes it.
func (l latest) accepted(e entry) {
	if l.c != nil {
		l.c.entry = e.clone()
	}
}

// delivered records that Temporal has accepted the outcome, before the store
// has this information.
func (l latest) delivered(p lifecycle.Policy) {
	if l.c != nil {
		p.Conclude(l.c.entry.rec, lifecycle.Delivered)
	}
}

// left keeps the entry as the call has last read or written it.
func (l latest) left(e entry) {
	if l.c != nil {
		l.c.entry = e
	}
}
