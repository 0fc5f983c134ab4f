package async

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	"golang.org/x/time/rate"
)

// limited is a completer that makes so many calls a second.
type limited struct {
	Completer
	limit *rate.Limiter
}

func (l *limited) Complete(ctx context.Context, t Target, o Outcome) error {
	if err := l.limit.Wait(ctx); err != nil {
		return err
	}
	return l.Completer.Complete(ctx, t, o)
}

func (l *limited) Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error) {
	if err := l.limit.Wait(ctx); err != nil {
		return Signals{}, err
	}
	return l.Completer.Heartbeat(ctx, t, details)
}

func (l *limited) Describe(ctx context.Context, t Target, mark string) (Status, error) {
	if err := l.limit.Wait(ctx); err != nil {
		return Status{}, err
	}
	return l.Completer.Describe(ctx, t, mark)
}
