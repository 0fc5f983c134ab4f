package async_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

func ExampleOpen() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	id := office.approve()

	p, err := async.Open[Approval](ctx, office.hub, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Info().State, p.Info().ActivityType)

	_, err = async.Open[Approval](ctx, office.hub, "no-such-id")
	fmt.Println(errors.Is(err, async.ErrNotFound))

	// Output:
	// waiting Approve
	// true
}

// In an earlier release of the application, Verdict was called Decision, in
// package expenses.
type Verdict struct{ Approved bool }

func (Verdict) ResultType() string { return "example.com/shop/expenses.Decision" }

// An activity may have been waiting since before its result type was renamed.
// The activity can still be answered if the new type returns the old name.
func ExampleOpen_renamedType() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	id := waitsSinceBefore(office.hub)
	p, err := async.Open[Verdict](ctx, office.hub, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Info().ResultType, p.Complete(ctx, Verdict{Approved: true}))

	type Renamed struct{ Approved bool } // without the method
	_, err = async.Open[Renamed](ctx, office.hub, id)
	fmt.Println(errors.Is(err, async.ErrTypeMismatch))

	// Output:
	// example.com/shop/expenses.Decision <nil>
	// true
}

// before is the type before it was renamed. The store keeps the old name of the
// type.
type before struct{ Approved bool }

func (before) ResultType() string { return "example.com/shop/expenses.Decision" }

// waitsSinceBefore runs an activity that awaits the type under its old name.
func waitsSinceBefore(hub *async.Hub) (id string) {
	_ = runActivity(func(ctx context.Context) (before, error) {
		return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[before]) error {
			id = p.ID()
			return nil
		})
	})
	return id
}

func ExamplePending_Complete() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(p.Complete(ctx, Approval{Approved: true, By: "Ann"}))
	fmt.Println(p.Complete(ctx, Approval{Approved: true, By: "Ann"})) // a repeat
	err = p.Complete(ctx, Approval{Approved: false, By: "Bob"})
	fmt.Println(errors.Is(err, async.ErrSettled))

	// Output:
	// <nil>
	// <nil>
	// true
}

// After a failure, Temporal retries the activity by its retry policy. The next
// attempt asks again under a new callback ID.
func ExampleCallback_Fail() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(p.Fail(ctx, errors.New("the approver is on holiday")))
	fmt.Println(office.temporal.Completed()[0].Outcome.Failure.GetMessage())

	// Output:
	// <nil>
	// the approver is on holiday
}

func ExampleCallback_Reject() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(p.Reject(ctx, errors.New("no such expense")))
	failure := office.temporal.Completed()[0].Outcome.Failure
	fmt.Println(failure.GetMessage(), failure.GetApplicationFailureInfo().GetNonRetryable())

	// Output:
	// <nil>
	// no such expense true
}

func ExamplePending_Outcome() {
	ctx := context.Background()
	office := newOffice(async.Options{KeepOutcomes: true})
	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = p.Outcome(ctx)
	fmt.Println(errors.Is(err, async.ErrNoOutcome))

	_ = p.Complete(ctx, Approval{Approved: true, By: "Ann"})
	accepted, err := p.Outcome(ctx)
	fmt.Println(accepted.Result.By, accepted.Failure, err)

	// Output:
	// true
	// Ann <nil> <nil>
}

// A business key finds an activity without its callback ID. With Early, a
// result may arrive before its activity.
func ExampleOpenKey() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	o := async.KeyOptions{Namespace: "default-test-namespace", Early: time.Hour}

	p, err := async.OpenKey[Payment](ctx, office.hub, "order-7", o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Complete(ctx, Payment{Cents: 4200}))

	pay := func(ctx context.Context) (Payment, error) {
		return async.Start(ctx, office.hub, async.StartOptions{Key: "order-7"}, func(context.Context, async.Pending[Payment]) error {
			fmt.Println("the function does not run")
			return nil
		})
	}
	_ = runActivity(pay)
	fmt.Println("delivered:", len(office.temporal.Completed()))

	// Output:
	// <nil>
	// delivered: 1
}

// Payment is the answer to an order.
type Payment struct{ Cents int64 }

// ResultType names the type in the store.
func (Payment) ResultType() string { return "orders.Payment" }

// Two results with one idempotency key count as the same answer.
func ExampleWithIdempotencyKey() {
	office := newOffice(async.Options{})
	ctx := async.WithIdempotencyKey(context.Background(), "message-42")
	p, err := async.Open[Stamped](ctx, office.hub, office.stamp())
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(p.Complete(ctx, Stamped{At: time.Now()}))
	fmt.Println(p.Complete(ctx, Stamped{At: time.Now()}))
	err = p.Complete(context.Background(), Stamped{At: time.Now()}) // without the key
	fmt.Println(errors.Is(err, async.ErrSettled))

	// Output:
	// <nil>
	// <nil>
	// true
}

// Stamped is an answer that differs with each redelivery.
type Stamped struct{ At time.Time }

// ResultType names the type in the store.
func (Stamped) ResultType() string { return "expenses.Stamped" }

// stamp runs an activity that awaits a Stamped, and returns its callback ID.
func (x *office) stamp() (id string) {
	_ = runActivity(func(ctx context.Context) (Stamped, error) {
		return async.Start(ctx, x.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Stamped]) error {
			id = p.ID()
			return nil
		})
	})
	return id
}

// The store keeps the name of a result type.
func ExampleResultType() {
	fmt.Println(async.ResultType[Approval]())
	fmt.Println(async.ResultType[*Approval]())
	_, err := async.ResultType[any]()
	fmt.Println(err != nil)

	// Output:
	// expenses.Approval <nil>
	// expenses.Approval <nil>
	// true
}
