package asynctest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

func TestEnvCompleterContract(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) {
		first := d.target(d.open().Callback)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, beat := d.completer.Heartbeat(ended, first, nil)
		_, describe := d.completer.Describe(ended, first, "")
		wantIs(t, "Complete", d.completer.Complete(ended, first, result("r")), context.Canceled)
		wantIs(t, "Heartbeat", beat, context.Canceled)
		wantIs(t, "Describe", describe, context.Canceled)

		wantIs(t, "a cancellation", d.completer.Complete(ctx, first, completer.Outcome{Canceled: new(commonpb.Payloads)}), completer.ErrCancelNotRequested)
		wantIs(t, "by ID", d.completer.Complete(ctx, first.ByID(), result("r")), completer.ErrRefused)
		foreign := first
		foreign.TaskToken = []byte("of another kind")
		if err := d.completer.Complete(ctx, foreign, result("r")); err == nil || errors.Is(err, completer.ErrOver) {
			t.Errorf("a token that isn't the environment's: %v, want its error", err)
		}

		details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("half")}}}
		if _, err := d.completer.Heartbeat(ctx, first, details); err != nil {
			t.Errorf("Heartbeat: %v", err)
		}
		s, err := d.completer.Describe(ctx, first.ByID(), "r")
		if err != nil || !s.Pending || !s.Running || !s.Started.Equal(first.Started) || s.Details != details || s.LastHeartbeat.IsZero() {
			t.Errorf("described as %v, %v, details %v, last beat %v", s, err, s.Details, s.LastHeartbeat)
		}
		payload, err := converter.GetDefaultDataConverter().ToPayloads(Reply{"yes"})
		wantIs(t, "ToPayloads", err, nil)
		wantIs(t, "the first", d.completer.Complete(ctx, first, completer.Outcome{Result: payload, Mark: "r"}), nil)
		wantIs(t, "the second", d.completer.Complete(ctx, first, result("r2")), completer.ErrOver)
		_, beat = d.completer.Heartbeat(ctx, first, nil)
		wantIs(t, "a heartbeat", beat, completer.ErrOver)
		for mark, want := range map[string]completer.End{"r": completer.EndOurs, "r2": completer.EndOther, "": completer.EndOther} {
			if s, err := d.completer.Describe(ctx, first, mark); err != nil || s.Pending || s.End != want {
				t.Errorf("described with mark %q as %v, %v, want end %v", mark, s, err, want)
			}
		}
	})
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestActivityEnvironment checks what docs/testing.md says about the SDK's
// environment of an activity.
func TestActivityEnvironment(t *testing.T) {
	reporter := new(asynctest.Completer)
	d := &desk{t: t, hub: asynctest.NewHub(t, async.Options{Completer: reporter})}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(d.Ask)
	for range 2 {
		if v, err := env.ExecuteActivity(d.Ask); err != activity.ErrResultPending || v != nil {
			t.Fatalf("ExecuteActivity returned %v, %v, want the bare activity.ErrResultPending", v, err)
		}
	}
	waiting := asynctest.Pending(t, d.hub)
	if len(waiting) != 2 || waiting[0].ID() != d.asked[0] || waiting[1].ID() != d.asked[1] {
		t.Fatalf("%d wait, want 2, in the order in which they were started", len(waiting))
	}
	if a, b := waiting[0].Info(), waiting[1].Info(); a.ActivityID == b.ActivityID || a.RunID != b.RunID || a.WorkflowID == "" || a.Namespace != "default-test-namespace" {
		t.Errorf("the environment's IDs: %+v and %+v", a, b)
	}
	wantIs(t, "Reject", waiting[0].Reject(t.Context(), errors.New("no")), nil)
	if taken := reporter.Completed(); len(taken) != 1 || string(taken[0].Target.TaskToken) != "default-test-run-id#"+waiting[0].Info().ActivityID {
		t.Errorf("taken: %v, by the token %q", taken, taken[0].Target.TaskToken)
	}
}

func TestStandaloneActivityEnvironment(t *testing.T) {
	reporter := new(asynctest.Completer)
	d := &desk{t: t, hub: asynctest.NewHub(t, async.Options{Completer: reporter})}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment().SetExecuteActivitiesInWorkflow(false)
	env.RegisterActivity(d.Ask)
	if _, err := env.ExecuteActivity(d.Ask); err != activity.ErrResultPending {
		t.Fatalf("ExecuteActivity returned %v", err)
	}
	wantIs(t, "Complete", d.open().Complete(t.Context(), Reply{"yes"}), nil)
	if taken := reporter.Completed(); len(taken) != 1 || !taken[0].Target.Standalone() || taken[0].Target.ActivityRunID == "" {
		t.Errorf("taken: %v", taken)
	}
}
