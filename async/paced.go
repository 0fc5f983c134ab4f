package async

import (
	"context"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"golang.org/x/time/rate"
)

// paced is a completer that makes so many calls a second, and notices how
// the server does.
type paced struct {
	Completer
	limit  *rate.Limiter
	server *condition
}

func newPaced(c Completer, perSecond float64, server *condition) *paced {
	limit := rate.NewLimiter(rate.Inf, 1)
	if perSecond > 0 {
		limit = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
	}
	return &paced{Completer: c, limit: limit, server: server}
}

func (p *paced) Complete(ctx context.Context, t Target, o Outcome) error {
	if err := p.limit.Wait(ctx); err != nil {
		return err
	}
	err := p.Completer.Complete(ctx, t, o)
	p.server.note(err, time.Now())
	return err
}

func (p *paced) Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error) {
	if err := p.limit.Wait(ctx); err != nil {
		return Signals{}, err
	}
	s, err := p.Completer.Heartbeat(ctx, t, details)
	now := time.Now()
	p.server.note(err, now)
	p.server.reached(t.Namespace, err, now)
	return s, err
}

func (p *paced) Describe(ctx context.Context, t Target, mark string) (Status, error) {
	if err := p.limit.Wait(ctx); err != nil {
		return Status{}, err
	}
	s, err := p.Completer.Describe(ctx, t, mark)
	now := time.Now()
	p.server.note(err, now)
	p.server.reached(t.Namespace, err, now)
	return s, err
}
