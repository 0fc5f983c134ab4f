package async_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// metered is a completer that counts its calls.
type metered struct {
	completer.Completer
	completes, describes, heartbeats atomic.Int32
}

func (m *metered) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	m.completes.Add(1)
	return m.Completer.Complete(ctx, t, o)
}

func (m *metered) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	m.describes.Add(1)
	return m.Completer.Describe(ctx, t, mark)
}

func (m *metered) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	m.heartbeats.Add(1)
	return m.Completer.Heartbeat(ctx, t, details)
}

// want checks the calls since the last check.
func (m *metered) want(t *testing.T, what string, completes, describes int32) {
	t.Helper()
	c, d, h := m.completes.Swap(0), m.describes.Swap(0), m.heartbeats.Swap(0)
	if c != completes || d != describes || h != 0 {
		t.Errorf("%s: %d completions, %d questions, %d heartbeats; want %d, %d and none", what, c, d, h, completes, describes)
	}
}

func newMetered(t *testing.T) (*world, *metered) {
	t.Helper()
	m := new(metered)
	return newWorld(t, func(o *async.Options) { m.Completer, o.Completer = o.Completer, m }), m
}

// Additional calls, for evidence and for delivery by ID, are made only in
// unusual cases. A normal delivery costs one call, and its repeats cost none.
func TestCallsOfADelivery(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"result":       func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
		"failure":      func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) },
		"rejection":    func(ctx context.Context, p async.Pending[Decision]) error { return p.Reject(ctx, errors.New("no")) },
		"cancellation": func(ctx context.Context, p async.Pending[Decision]) error { return p.ReportCanceled(ctx, "why") },
	} {
		t.Run(name, func(t *testing.T) {
			w, m := newMetered(t)
			p := w.open(w.start(1, async.StartOptions{}))
			m.want(t, "asking", 0, 0)
			w.change(func(r *record.Record) { r.CancelRequested = true }) // a heartbeat sets the field in this way
			wantNil(t, answer(t.Context(), w.open(p.ID())))
			m.want(t, "delivery", 1, 0)
			wantNil(t, answer(t.Context(), p))
			wantNil(t, answer(t.Context(), w.open(p.ID())))
			m.want(t, "repeats", 0, 0)
			w.start(1, async.StartOptions{})
			m.want(t, "another Start of the attempt", 0, 0)
		})
	}
	t.Run("by another hub", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, m := newMetered(t)
			settler, err := async.New(async.Options{Store: w.store})
			wantNil(t, err)
			p, err := async.Open[Decision](t.Context(), settler, w.pendFor(time.Hour, async.StartOptions{}).ID())
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), Decision{}))
			time.Sleep(time.Millisecond)
			w.work(w.hub)
			w.work(w.hub)
			m.want(t, "delivery", 1, 0)
		})
	})
	t.Run("by the next Start", func(t *testing.T) {
		w, m := newMetered(t)
		w.completer.CompleteFunc = unavailable
		wantNil(t, w.open(w.start(1, async.StartOptions{})).Complete(t.Context(), Decision{}))
		m.want(t, "a try", 1, 0)
		w.completer.CompleteFunc = nil
		w.start(2, async.StartOptions{})
		m.want(t, "delivery", 1, 0)
	})
}

// A sender may repeat its answer at any time, even after later rounds.
func TestCallsOfRepeats(t *testing.T) {
	t.Run("of an older round", func(t *testing.T) {
		w, m := newMetered(t)
		first := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, first.Fail(t.Context(), errors.New("no")))
		second := w.open(w.start(2, async.StartOptions{}))
		m.want(t, "a failure and the next round", 1, 0)
		wantNil(t, first.Fail(t.Context(), errors.New("no")))
		wantErr(t, first.Complete(t.Context(), Decision{}), async.ErrSettled)
		m.want(t, "repeats while that waits", 0, 0)
		wantNil(t, second.Complete(t.Context(), Decision{}))
		m.want(t, "its answer", 1, 0)
		wantNil(t, w.open(first.ID()).Fail(t.Context(), errors.New("no")))
		m.want(t, "repeats after it", 0, 0)
	})
	t.Run("by key", func(t *testing.T) {
		w, m := newMetered(t)
		w.mustKeyed(run("w", 0))
		message := async.WithIdempotencyKey(t.Context(), "message-1")
		wantNil(t, w.openKey(byKey).Complete(message, Decision{}))
		m.want(t, "delivery", 1, 0)
		wantNil(t, w.openKey(byKey).Complete(message, Decision{}))
		m.want(t, "a repeat", 0, 0)
		w.mustKeyed(run("w", 1))
		m.want(t, "a later run", 0, 0)
		wantNil(t, w.openKey(byKey).Complete(message, Decision{}))
		m.want(t, "a repeat of the earlier round", 0, 0)
		w.wantState(async.Waiting)
	})
	t.Run("while it can't be delivered", func(t *testing.T) {
		w, m := newMetered(t)
		w.completer.CompleteFunc = unavailable
		p := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, p.Complete(t.Context(), Decision{}))
		m.want(t, "a try", 1, 0)
		wantNil(t, p.Complete(t.Context(), Decision{}))
		wantErr(t, p.Complete(t.Context(), Decision{Approved: true}), async.ErrSettled)
		m.want(t, "repeats", 0, 0)
	})
	t.Run("cancellation", func(t *testing.T) {
		w, m := newMetered(t)
		w.completer.DescribeFunc = cancelRequested
		p := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, p.ReportCanceled(t.Context()))
		m.want(t, "whether it was requested, and delivery", 1, 1)
		wantNil(t, p.ReportCanceled(t.Context()))
		m.want(t, "a repeat", 0, 0)
	})
}
