package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
)

type latestKey struct{}

// WithLatest returns a context for one answer. When Complete, Fail, Reject or
// ReportCanceled returns nil, *c is the callback as the call has left it: its
// Info says when the answer was accepted and whether Temporal has it, without
// another read of the store. A call that returns an error leaves *c alone. c must
// point to a copy of the callback that is answered. Only the call may use it until
// it returns.
func WithLatest(ctx context.Context, c *Callback) context.Context {
	return context.WithValue(ctx, latestKey{}, c)
}

// latest is where an answer leaves the callback's new state; nil where the
// caller does not want it.
type latest struct{ c *Callback }

func latestOf(ctx context.Context) latest {
	c, _ := ctx.Value(latestKey{}).(*Callback)
	return latest{c}
}

// accepted keeps the entry as it was saved. Its record is copied, since the
// delivery writes to it.
func (l latest) accepted(e entry) {
	if l.c != nil {
		l.c.entry = e.clone()
	}
}

// delivered notes that Temporal has taken the outcome, before the store knows.
func (l latest) delivered(p lifecycle.Policy) {
	if l.c != nil {
		p.Conclude(l.c.entry.rec, lifecycle.Delivered)
	}
}

// left keeps the entry as the call has read or written it last.
func (l latest) left(e entry) {
	if l.c != nil {
		l.c.entry = e
	}
}
