package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
)

// Approval is the answer to an expense.
type Approval struct {
	Approved bool
	By       string
}

// ResultType names the type for good: renaming it in Go breaks nothing.
func (Approval) ResultType() string { return "expenses.Approval" }

// Activities hold what the activities need.
type Activities struct {
	hub  *async.Hub
	mail chan<- string
}

// Approve asks somebody, and ends when they answer.
func (a *Activities) Approve(ctx context.Context, expense string) (Approval, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Approval]) error {
		a.mail <- p.ID() // what the outside needs to answer
		return nil
	})
}

func Example() {
	ctx := context.Background()
	temporal := new(asynctest.Completer) // in production: completer.New
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: temporal})
	if err != nil {
		fmt.Println(err)
		return
	}
	mail := make(chan string, 1)

	// The worker runs the activity, which hands itself over.
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	worker := suite.NewTestActivityEnvironment()
	worker.RegisterActivity(&Activities{hub: hub, mail: mail})
	_, err = worker.ExecuteActivity((&Activities{hub: hub, mail: mail}).Approve, "train ticket")
	fmt.Println("pending:", err == activity.ErrResultPending)

	// Wherever the answer arrives, on whatever day.
	id := <-mail
	_, err = async.Open[string](ctx, hub, id)
	fmt.Println("as another type:", errors.Is(err, async.ErrTypeMismatch))

	p, err := async.Open[Approval](ctx, hub, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("accepted:", p.Complete(ctx, Approval{Approved: true, By: "Ann"}))
	fmt.Println("the same again:", p.Complete(ctx, Approval{Approved: true, By: "Ann"}))
	fmt.Println("another:", errors.Is(p.Complete(ctx, Approval{}), async.ErrSettled))
	fmt.Println("delivered:", len(temporal.Completed()))

	// Output:
	// pending: true
	// as another type: true
	// accepted: <nil>
	// the same again: <nil>
	// another: true
	// delivered: 1
}

func ExampleHub_List() {
	ctx := context.Background()
	hub, err := async.New(async.Options{Store: store.NewMemory()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	worker := suite.NewTestActivityEnvironment()
	ship := func(ctx context.Context) error {
		_, err := async.Start(ctx, hub, async.StartOptions{Labels: map[string]string{"desk": "returns"}},
			func(ctx context.Context, p async.Pending[async.None]) error {
				return p.Remember(ctx, "parcel-17")
			})
		return err
	}
	worker.RegisterActivity(ship)
	_, _ = worker.ExecuteActivity(ship)

	for c, err := range hub.List(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		i := c.Info()
		fmt.Println(i.State, i.ResultType, i.Reference, i.Labels["desk"])
	}
	// Output:
	// waiting none parcel-17 returns
}

// Verdict was called Decision and lived in package expenses. Its ResultType
// returns the old name, so that activities which wait since before the change
// can still be answered.
type Verdict struct{ Approved bool }

func (Verdict) ResultType() string { return "example.com/shop/expenses.Decision" }

func ExampleOpen_renamedType() {
	ctx := context.Background()
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: new(asynctest.Completer)})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := waitsSinceBefore(ctx, hub)
	p, err := async.Open[Verdict](ctx, hub, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Info().ResultType, p.Complete(ctx, Verdict{Approved: true}))

	type Decision struct{ Approved bool } // without the method, elsewhere
	_, err = async.Open[Decision](ctx, hub, id)
	fmt.Println(errors.Is(err, async.ErrTypeMismatch))
	// Output:
	// example.com/shop/expenses.Decision <nil>
	// true
}

// before is the type as it was: its name is the one that the store keeps.
type before struct{ Approved bool }

func (before) ResultType() string { return "example.com/shop/expenses.Decision" }

// waitsSinceBefore runs an activity that awaits the type under its old name.
func waitsSinceBefore(ctx context.Context, hub *async.Hub) (id string) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	worker := suite.NewTestActivityEnvironment()
	approve := func(ctx context.Context) (before, error) {
		return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[before]) error {
			id = p.ID()
			return nil
		})
	}
	worker.RegisterActivity(approve)
	_, _ = worker.ExecuteActivity(approve)
	return id
}

func ExampleCallback_Fail() {
	ctx := context.Background()
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: new(asynctest.Completer)})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = hub.Open(ctx, "not-a-callback-id")
	fmt.Println(err)

	var none async.Callback
	fmt.Println(errors.Is(none.Fail(ctx, errors.New("declined")), async.ErrNotFound))
	// Output:
	// async: open: no such callback: not a callback ID, which has 54 characters of A-Z a-z 0-9 - _ (44 with a business key)
	// true
}

// Interceptors that wrap errors are common. Interceptor, put first, keeps an
// activity waiting all the same.
func ExampleInterceptor() {
	temporal := new(asynctest.Completer) // in production: completer.New
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: temporal})
	if err != nil {
		fmt.Println(err)
		return
	}
	wrap := &wrapping{wrap: func(err error) error { return fmt.Errorf("activity failed: %w", err) }}
	a := &Activities{hub: hub, mail: make(chan string, 2)}

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	for _, interceptors := range [][]interceptor.WorkerInterceptor{
		{wrap},
		{async.Interceptor(), wrap}, // the first wraps the others
	} {
		w := suite.NewTestActivityEnvironment()
		w.SetWorkerOptions(worker.Options{Interceptors: interceptors})
		w.RegisterActivity(a)
		_, err = w.ExecuteActivity(a.Approve, "train ticket")
		fmt.Println("pending:", err == activity.ErrResultPending)
	}
	// Output:
	// pending: false
	// pending: true
}
