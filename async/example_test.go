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

// ResultType names the type in the store.
func (Approval) ResultType() string { return "expenses.Approval" }

// Activities holds what the activities need.
type Activities struct {
	hub    *async.Hub
	mailer mailer
}

// Approve asks a person for a decision and returns at once.
func (a *Activities) Approve(ctx context.Context, expense string) (Approval, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Approval]) error {
		return a.mailer.Ask(ctx, expense, p.ID())
	})
}

// mailer stands for the code that reaches the external system. mailer keeps the
// last callback ID.
type mailer struct{ id *string }

func (m mailer) Ask(_ context.Context, expense, id string) error {
	*m.id = id
	return nil
}

// office is a hub with a mailer, and without a Temporal server.
type office struct {
	hub      *async.Hub
	temporal *asynctest.Completer // in production, use the completer of a client
	mailed   string               // the last callback ID
}

func newOffice(o async.Options) *office {
	x := &office{temporal: new(asynctest.Completer)}
	o.Store, o.Completer = store.NewMemory(), x.temporal
	var err error
	if x.hub, err = async.New(o); err != nil {
		panic(err)
	}
	return x
}

// approve runs the activity Approve until it waits, and returns the callback
// ID.
func (x *office) approve() string {
	a := &Activities{hub: x.hub, mailer: mailer{&x.mailed}}
	_ = runActivity(a.Approve, "train ticket")
	return x.mailed
}

// runActivity runs an activity as a worker does, and returns its error.
func runActivity(activity any, args ...any) error {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	w := suite.NewTestActivityEnvironment()
	w.RegisterActivity(activity)
	_, err := w.ExecuteActivity(activity, args...)
	return err
}

func Example() {
	ctx := context.Background()
	temporal := new(asynctest.Completer) // in production: completer.New
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: temporal})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The worker runs the activity, which sends the callback ID and waits.
	var id string
	a := &Activities{hub: hub, mailer: mailer{&id}}
	err = runActivity(a.Approve, "train ticket")
	fmt.Println("pending:", err == activity.ErrResultPending)

	// The answer may arrive in any process on the same store, on any day.
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

func ExampleNew() {
	_, err := async.New(async.Options{Completer: new(asynctest.Completer)})
	fmt.Println("without a store:", err != nil)

	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: new(asynctest.Completer)})
	fmt.Println("with one:", hub != nil, err)

	// Output:
	// without a store: true
	// with one: true <nil>
}

func ExampleStart() {
	office := newOffice(async.Options{})
	var asked []string
	approve := func(ctx context.Context, expense string) (Approval, error) {
		return async.Start(ctx, office.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Approval]) error {
			asked = append(asked, p.ID()) // stands for a mail, a job or a message
			return nil
		})
	}

	err := runActivity(approve, "train ticket")
	fmt.Println("waits:", err == activity.ErrResultPending)
	fmt.Println("asked:", len(asked), "with an ID of", len(asked[0]), "characters")

	// Output:
	// waits: true
	// asked: 1 with an ID of 54 characters
}

// An activity that submits a job remembers the number of the job. A later
// attempt reads the number, and does not submit the job again.
func ExampleCallback_Remember() {
	office := newOffice(async.Options{})
	submitted := 0
	render := func(ctx context.Context, film string) error {
		_, err := async.Start(ctx, office.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[async.None]) error {
			if p.Reference() != "" {
				return nil // an earlier attempt has submitted the job
			}
			submitted++
			return p.Remember(ctx, fmt.Sprint("job-", submitted))
		})
		return err
	}
	_ = runActivity(render, "intro.mov")

	for c, err := range office.hub.List(context.Background()) {
		fmt.Println(c.Reference(), err)
	}

	// Output:
	// job-1 <nil>
}

func ExampleHub_List() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	ship := func(ctx context.Context) error {
		o := async.StartOptions{Labels: map[string]string{"desk": "returns"}}
		_, err := async.Start(ctx, office.hub, o, func(ctx context.Context, p async.Pending[async.None]) error {
			return p.Remember(ctx, "parcel-17")
		})
		return err
	}
	_ = runActivity(ship)

	for c, err := range office.hub.List(ctx) {
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

// An interceptor that wraps every error would end the wait. If Interceptor is
// the first interceptor, the activity keeps waiting.
func ExampleInterceptor() {
	office := newOffice(async.Options{})
	wrap := &wrapping{wrap: func(err error) error { return fmt.Errorf("activity failed: %w", err) }}
	a := &Activities{hub: office.hub, mailer: mailer{&office.mailed}}

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	for _, interceptors := range [][]interceptor.WorkerInterceptor{
		{wrap},
		{async.Interceptor(), wrap}, // the first interceptor wraps the others
	} {
		w := suite.NewTestActivityEnvironment()
		w.SetWorkerOptions(worker.Options{Interceptors: interceptors})
		w.RegisterActivity(a)
		_, err := w.ExecuteActivity(a.Approve, "train ticket")
		fmt.Println("pending:", err == activity.ErrResultPending)
	}

	// Output:
	// pending: false
	// pending: true
}
