package asynctest_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// exampleT stands for the *testing.T of a test.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                  {}
func (exampleT) Cleanup(func())           {}
func (exampleT) Context() context.Context { return context.Background() }

// NewHub makes a hub for one test. The SDK provides the activity's environment,
// and the test answers as the external system does.
func ExampleNewHub() {
	t := exampleT{} // in a test, use its *testing.T
	hub := asynctest.NewHub(t, async.Options{})

	a := &Activities{Hub: hub, Mail: func(context.Context, string, string) error { return nil }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	_, _ = env.ExecuteActivity(a.Approve, "train ticket") // activity.ErrResultPending

	waiting := asynctest.Pending(t, hub)
	p, err := async.Open[Decision](t.Context(), hub, waiting[0].ID())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(waiting), p.Complete(t.Context(), Decision{Approved: true, By: "Ann"}))

	// Output:
	// 1 <nil>
}

// Completer remembers the outcomes that it got, and refuses a second outcome as
// a server does.
func ExampleCompleter() {
	ctx := context.Background()
	temporal := new(asynctest.Completer)
	target := completer.Target{Namespace: "default", WorkflowID: "expense-1", ActivityID: "5"}
	fmt.Println(temporal.Complete(ctx, target, completer.Outcome{Mark: "r1"}))
	fmt.Println(temporal.Complete(ctx, target, completer.Outcome{Mark: "r2"}) != nil)
	fmt.Println(len(temporal.Completed()))

	// Output:
	// <nil>
	// true
	// 1
}
