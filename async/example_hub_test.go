package async_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// Work does everything that is due now. In this example, Work calls the hook
// Delivered.
func ExampleHooks() {
	ctx := context.Background()
	office := newOffice(async.Options{Hooks: async.Hooks{
		Delivered: func(ctx context.Context, c async.Callback) error {
			fmt.Println("delivered:", c.Info().Outcome)
			return nil
		},
		Over: func(ctx context.Context, c async.Callback, reason error) error {
			fmt.Println("over:", reason)
			return nil
		},
	}})

	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = p.Complete(ctx, Approval{Approved: true})
	_, _ = office.hub.Work(ctx)

	// Output:
	// delivered: result
}

// Heartbeat stores the details. A running hub sends the details to Temporal.
func ExampleCallback_Heartbeat() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	p, err := async.Open[Approval](ctx, office.hub, office.approve())
	if err != nil {
		fmt.Println(err)
		return
	}

	switch err := p.Heartbeat(ctx, "two of three signatures"); {
	case errors.Is(err, async.ErrCancelRequested):
		fmt.Println("stop, and answer with ReportCanceled")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("stored")
	}

	// Output:
	// stored
}

// The options of each hub name the pumps, and each activity chooses a pump by
// name.
func ExampleOptions_pumps() {
	office := newOffice(async.Options{Pumps: map[string]heartbeat.Pump{
		"job": heartbeat.Probe(func(ctx context.Context, a heartbeat.Activity) (any, error) {
			return "progress of " + a.Reference, nil
		}, heartbeat.ProbeOptions{}),
	}})
	render := func(ctx context.Context, film string) error {
		_, err := async.Start(ctx, office.hub, async.StartOptions{Pump: "job"}, func(ctx context.Context, p async.Pending[async.None]) error {
			return p.Remember(ctx, "job-7")
		})
		return err
	}
	_ = runActivity(render, "intro.mov")

	for c := range office.hub.List(context.Background()) {
		fmt.Println(c.Info().Pump, c.Reference())
	}

	// Output:
	// job job-7
}

// A zero Callback answers every call with ErrNotFound.
func ExampleCallback() {
	var c async.Callback
	fmt.Println(errors.Is(c.Abandon(context.Background()), async.ErrNotFound))

	// Output:
	// true
}

// A page has two limits: the number of callbacks that it returns, and the
// number of entries that it reads.
func ExampleHub_Page() {
	ctx := context.Background()
	office := newOffice(async.Options{})
	for _, order := range []string{"order-7", "order-8", "order-9"} {
		_ = runActivity(func(ctx context.Context) (Payment, error) {
			return async.Start(ctx, office.hub, async.StartOptions{Key: order}, func(context.Context, async.Pending[Payment]) error {
				return nil
			})
		})
	}
	q := async.Query{State: async.Waiting, Limit: 2}
	for {
		page, err := office.hub.Page(ctx, q)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("waiting:", len(page.Callbacks))
		if q.After = page.Next; q.After == "" {
			return
		}
	}

	// Output:
	// waiting: 2
	// waiting: 1
}
