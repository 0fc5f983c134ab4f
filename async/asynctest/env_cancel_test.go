package asynctest_test

import (
	"context"
	"errors"
	"testing"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

func TestEnvCancellation(t *testing.T) {
	for name, answer := range map[string]func(context.Context, async.Pending[Reply]) error{
		"reported": func(ctx context.Context, p async.Pending[Reply]) error { return p.ReportCanceled(ctx, "stopped") },
		"result":   func(ctx context.Context, p async.Pending[Reply]) error { return p.Complete(ctx, Reply{"too late"}) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.after(day, func(ctx context.Context) {
				p := d.open()
				wantIs(t, "ReportCanceled", p.ReportCanceled(ctx), completer.ErrCancelNotRequested)
				if s := d.beat(p); s != (completer.Signals{}) {
					t.Errorf("before: %+v", s)
				}
				d.env.SignalWorkflow("stop", nil)
			})
			d.after(2*day, func(ctx context.Context) {
				p := d.open()
				if s := d.beat(p); s != (completer.Signals{CancelRequested: true}) {
					t.Errorf("after: %+v", s)
				}
				wantIs(t, name, answer(ctx, p), nil)
				wantIs(t, "another", p.Reject(ctx, errors.New("no")), async.ErrSettled)
			})
			d.env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
				stoppable, stop := workflow.WithCancel(options(ctx))
				asked := workflow.ExecuteActivity(stoppable, d.Ask)
				workflow.GetSignalChannel(ctx, "stop").Receive(ctx, nil)
				stop()
				if err := asked.Get(ctx, nil); !temporal.IsCanceledError(err) {
					t.Errorf("the workflow read %v, want a cancellation", err)
				}
				return "went on", workflow.Sleep(ctx, 5*day)
			})
			var r string
			if err := d.env.GetWorkflowResult(&r); err != nil || r != "went on" {
				t.Errorf("the workflow ended with %q, %v", r, err)
			}
			d.wantClosed(nil)
		})
	}
}
