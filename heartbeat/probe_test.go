package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/heartbeat"
)

func TestProbeAlive(t *testing.T) {
	a := number(1, time.Minute)
	a.Reference = "job-42"
	for name, details := range map[string]any{"details": 7, "nil": nil} {
		p := heartbeat.Probe(func(_ context.Context, got heartbeat.Activity) (any, error) {
			if got.Reference != a.Reference {
				t.Errorf("ask got reference %q, want %q", got.Reference, a.Reference)
			}
			return details, nil
		}, heartbeat.ProbeOptions{})
		if b, err := p.Beat(t.Context(), a); err != nil || b.Skip || b.Details != details {
			t.Errorf("%s: Beat is %+v, %v, want one with details %v, and nil", name, b, err, details)
		}
	}
}

func TestProbeDead(t *testing.T) {
	dead := fmt.Errorf("job 42: exit status 1: %w", heartbeat.ErrDead)
	p := heartbeat.Probe(func(context.Context, heartbeat.Activity) (any, error) { return 7, dead }, heartbeat.ProbeOptions{})
	b, err := p.Beat(t.Context(), number(1, time.Minute))
	if err != dead {
		t.Errorf("Beat returned %v, want the error of ask as it is", err)
	}
	if b != (heartbeat.Beat{}) {
		t.Errorf("Beat returned %+v beside an error, want nothing", b)
	}
}

func TestProbeDoesNotKnow(t *testing.T) {
	away := errors.New("connection refused")
	p := heartbeat.Probe(func(context.Context, heartbeat.Activity) (any, error) { return nil, away }, heartbeat.ProbeOptions{})
	if _, err := p.Beat(t.Context(), number(1, time.Minute)); err != away || errors.Is(err, heartbeat.ErrDead) {
		t.Errorf("Beat returned %v, want ask's own error", err)
	}
}

func TestProbeTimeout(t *testing.T) {
	for name, c := range map[string]struct{ set, caller, want time.Duration }{
		"defaults to 5s":   {0, time.Hour, 5 * time.Second},
		"set":              {time.Second, time.Hour, time.Second},
		"below zero":       {-1, time.Hour, 5 * time.Second},
		"the hub has less": {0, 2 * time.Second, 2 * time.Second},
		"dead at the last": {0, time.Hour, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.caller)
				defer cancel()
				own := errors.New("gave up")
				if name == "dead at the last" {
					own = fmt.Errorf("gone: %w", heartbeat.ErrDead)
				}
				p := heartbeat.Probe(func(ctx context.Context, _ heartbeat.Activity) (any, error) {
					<-ctx.Done()
					return nil, own
				}, heartbeat.ProbeOptions{Timeout: c.set})
				began := time.Now()
				_, err := p.Beat(ctx, number(1, time.Minute))
				if took := time.Since(began); took != c.want {
					t.Errorf("the question was given up after %v, want %v", took, c.want)
				}
				if !errors.Is(err, own) {
					t.Errorf("Beat returned %v, want what ask returned in it", err)
				}
				if errors.Is(own, heartbeat.ErrDead) {
					return
				}
				if c.caller == time.Hour && !strings.Contains(err.Error(), "in time") {
					t.Errorf("Beat returned %q, which doesn't say that there was no answer in time", err)
				}
				if c.caller != time.Hour && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Beat returned %v, want the hub's own reason in it", err)
				}
			})
		})
	}
}

// The context ends when ask returns, so code that ask leaves running holds no
// timer.
func TestProbeEndsItsContext(t *testing.T) {
	var asked context.Context
	p := heartbeat.Probe(func(ctx context.Context, _ heartbeat.Activity) (any, error) { asked = ctx; return nil, nil }, heartbeat.ProbeOptions{})
	if _, err := p.Beat(t.Context(), number(1, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if asked.Err() == nil {
		t.Error("the context of a question that was answered goes on")
	}
}

func TestProbeWithNilAsk(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Probe with a nil ask didn't panic: it would for each activity, later")
		}
	}()
	heartbeat.Probe(nil, heartbeat.ProbeOptions{})
}
