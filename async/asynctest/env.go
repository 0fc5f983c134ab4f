package asynctest

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
)

// EnvCompleter returns a completer that delivers to the SDK's test environment
// for workflows. A second outcome, and an outcome for a workflow that is over,
// get completer.ErrOver, as from a server. The environment itself would ignore
// such outcomes.
//
// As soon as the workflow waits, the environment skips time to the next timer,
// and finally to the timeout of the workflow. Therefore give the answer in a
// callback of env.RegisterDelayedCallback, which also sets the time of the
// answer:
//
//	hub := asynctest.NewHub(t, async.Options{Completer: asynctest.EnvCompleter(env)})
//	env.RegisterDelayedCallback(func() {
//		// Pending, Open, Complete
//	}, 3*24*time.Hour)
//	env.ExecuteWorkflow(ExpenseWorkflow, "train ticket")
//
// The environment gets the answer within the call, and the workflow continues
// when the callback returns. As with the environment's own methods, calls must
// come from such callbacks, from activities, or while ExecuteWorkflow is not
// running. A hub that runs in a goroutine of its own would race with the
// workflow.
//
// The environment differs from a server:
//
//   - A failure ends the activity, whatever its retry policy. Only an error
//     that the activity's function returns is retried.
//   - A waiting activity never times out, with or without heartbeats.
//   - If the workflow cancels an activity, the workflow continues at once. The
//     external system sees what it would see with a server: the request for
//     cancellation shows in heartbeats, and a cancellation or a result is
//     accepted. EnvCompleter learns of the request because it registers the
//     environment's listener for cancelled activities. A test that sets its own
//     listener afterwards replaces it.
//   - An activity whose function has failed without a retry still seems to
//     wait.
//   - The environment runs its codec over the answer. If env.SetDataConverter
//     sets a converter with a codec, give the hub the same converter without
//     the codec.
func EnvCompleter(env *testsuite.TestWorkflowEnvironment) completer.Completer {
	e := &envCompleter{env: env, cancelled: make(map[envActivity]time.Time), beats: make(map[envActivity]beat)}
	e.taken.CompleteFunc = e.report
	env.SetOnActivityCanceledListener(func(info *activity.Info) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.cancelled[envActivity{info.WorkflowExecution.RunID, info.ActivityID}] = time.Now()
	})
	return e
}

type envCompleter struct {
	env   *testsuite.TestWorkflowEnvironment
	taken Completer

	mu        sync.Mutex
	cancelled map[envActivity]time.Time // the time at which the workflow cancelled the activity
	beats     map[envActivity]beat      // the last
}

// envActivity identifies an activity of the environment. A workflow that uses
// an activity ID twice has two activities with that ID, one after the other.
type envActivity struct{ runID, activityID string }

type beat struct {
	details *commonpb.Payloads
	at      time.Time
}

// Complete accepts the outcome if it is the first outcome of an activity, and
// if the activity's workflow runs.
func (e *envCompleter) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	if e.env.IsWorkflowCompleted() {
		return workflowOver(t)
	}
	return e.taken.Complete(ctx, t, o)
}

func workflowOver(t completer.Target) error {
	return fmt.Errorf("%w: %v: the workflow is completed, answer in a callback of env.RegisterDelayedCallback", completer.ErrOver, t)
}

// report passes the first outcome of an activity to the environment.
func (e *envCompleter) report(_ context.Context, t completer.Target, o completer.Outcome) error {
	requested := e.cancelRequested(t)
	switch {
	case o.Canceled != nil && !requested:
		return fmt.Errorf("%w: %v", completer.ErrCancelNotRequested, t)
	case requested:
		return nil // the workflow has continued, and another activity may have the ID by now
	case t.TaskToken == nil:
		return fmt.Errorf("%w: %v: the test environment takes an outcome by token only", completer.ErrRefused, t)
	}
	var result any
	var failure error
	switch {
	case o.Failure != nil:
		// The error wraps the failure that it was made from, and the
		// environment converts the error back into that failure. The conversion
		// modifies its argument, so the converter gets a copy.
		failure = temporal.GetDefaultFailureConverter().FailureToError(proto.CloneOf(o.Failure))
	case len(o.Result.GetPayloads()) > 0:
		result = converter.NewRawValue(o.Result.GetPayloads()[0])
	}
	if err := e.env.CompleteActivity(t.TaskToken, result, failure); err != nil {
		return err
	}
	if t.RunID != rootRunID {
		e.env.RegisterDelayedCallback(func() { e.wake(t.WorkflowID) }, 0)
	}
	return nil
}

// rootRunID is the run ID that the environment gives to the workflow under
// test. Other run IDs belong to child workflows. The workflow under test needs
// no wake-up, and it may be over by then. The environment would never reject an
// update for a workflow that is over.
const rootRunID = "default-test-run-id"

// wake makes a child workflow process the outcome. CompleteActivity wakes only
// the workflow under test. The environment rejects an update that the workflow
// does not know, and the update has no other effect.
func (e *envCompleter) wake(workflowID string) {
	// An error means that the child workflow is over.
	_ = e.env.UpdateWorkflowByID(workflowID, "latchkey: wake up", rand.Text(), ignored{})
}

// ignored ignores the result of an update.
type ignored struct{}

func (ignored) Accept()             {}
func (ignored) Reject(error)        {}
func (ignored) Complete(any, error) {}

// cancelRequested reports whether the workflow has cancelled this activity, and
// not an earlier activity with the same ID.
func (e *envCompleter) cancelRequested(t completer.Target) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.cancelled[envActivity{t.RunID, t.ActivityID}]
	return ok && !at.Before(t.Scheduled)
}

// Heartbeat keeps the details, and reports whether the workflow has cancelled
// the activity.
func (e *envCompleter) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	if e.env.IsWorkflowCompleted() {
		return completer.Signals{}, workflowOver(t)
	}
	if _, err := e.taken.Heartbeat(ctx, t, details); err != nil {
		return completer.Signals{}, err
	}
	e.mu.Lock()
	e.beats[envActivity{t.RunID, t.ActivityID}] = beat{details, time.Now()}
	e.mu.Unlock()
	return completer.Signals{CancelRequested: e.cancelRequested(t)}, nil
}

// Describe returns the state that follows from the accepted outcomes and from
// the environment's state of the workflow. Describe does not report which
// attempt runs.
func (e *envCompleter) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	if err := ctx.Err(); err != nil {
		return completer.Status{}, err
	}
	for _, call := range e.taken.Completed() {
		switch {
		case !sameActivity(call.Target, t):
		case mark != "" && call.Outcome.Mark == mark:
			return completer.Status{End: completer.EndOurs}, nil
		default:
			return completer.Status{End: completer.EndOther}, nil
		}
	}
	if e.env.IsWorkflowCompleted() {
		return completer.Status{End: completer.EndOther}, nil
	}
	s := completer.Status{Pending: true, Running: true, Started: t.Started, CancelRequested: e.cancelRequested(t)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.beats[envActivity{t.RunID, t.ActivityID}]; !b.at.Before(t.Scheduled) {
		s.Details, s.LastHeartbeat = b.details, b.at
	}
	return s, nil
}
