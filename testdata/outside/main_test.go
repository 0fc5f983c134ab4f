package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
)

func TestApprove(t *testing.T) {
	temporal := new(asynctest.Completer)
	s := store.NewMemory()
	defer s.Close()
	hub := asynctest.NewHub(t, async.Options{Store: s, Completer: temporal})
	asked := ""
	a := &Activities{Hub: hub, Ask: func(_ context.Context, _, id string) error {
		asked = id
		return nil
	}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	if _, err := env.ExecuteActivity(a.Approve, "train ticket"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v", err)
	}
	if _, err := async.Open[string](t.Context(), hub, asked); !errors.Is(err, async.ErrTypeMismatch) {
		t.Errorf("opened as another type: %v", err)
	}
	p, err := async.Open[Decision](t.Context(), hub, asked)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Complete(t.Context(), Decision{Approved: true}); err != nil || len(temporal.Completed()) != 1 {
		t.Errorf("completed: %v, delivered %d", err, len(temporal.Completed()))
	}
}

func TestWorkflow(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	hub := asynctest.NewHub(t, async.Options{Completer: asynctest.EnvCompleter(env)})
	a := &Activities{Hub: hub, Ask: func(context.Context, string, string) error { return nil }}
	env.RegisterActivity(a)
	env.RegisterDelayedCallback(func() {
		p, err := async.Open[Decision](t.Context(), hub, asynctest.Pending(t, hub)[0].ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Complete(t.Context(), Decision{Approved: true}); err != nil {
			t.Error(err)
		}
	}, 24*time.Hour)
	env.ExecuteWorkflow(func(ctx workflow.Context) (Decision, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * 24 * time.Hour})
		var d Decision
		err := workflow.ExecuteActivity(ctx, a.Approve, "train ticket").Get(ctx, &d)
		return d, err
	})
	var d Decision
	if err := env.GetWorkflowResult(&d); err != nil || !d.Approved {
		t.Errorf("the workflow returned %+v, %v", d, err)
	}
}
