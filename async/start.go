package async

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// StartOptions configures [Start]. The zero value is valid.
type StartOptions struct {
	// Key is a business key, such as an order number. [OpenKey] finds the
	// activity by its business key. A business key is unique in the namespace
	// while its activity waits. When that activity is over, a later activity of
	// the same workflow takes the key over. A business key has at most 1 KiB. Defaults to none.
	Key string

	// Once makes Start run the function once for each round instead of once for
	// each attempt. A later attempt does not run the function if an earlier one
	// has returned nil, or if a reference is remembered. Defaults to false.
	Once bool

	// Labels are shown to operators. Labels must not contain secrets. All
	// labels together have at most 4 KiB. Defaults to none.
	Labels map[string]string

	// Pump is the name of the heartbeat pump in [Options].Pumps of the running
	// hubs. Defaults to "", which is KeepAlive unless Options.Pumps has another
	// pump under "".
	Pump string
}

const (
	maxLabels    = 4 << 10 // bytes
	maxPump      = 256     // bytes
	maxReference = 4 << 10 // bytes

	// wrapUp is how long Start may still work after its activity's context has
	// ended.
	wrapUp = 5 * time.Second
)

// misuse is the type of the failure with which a programming error fails the
// activity. The failure is not retried, because the next attempt would make the
// same error.
const misuse = "latchkey.Misuse"

// Start hands an activity over to an external system. Call it in the activity's
// function, and return what it returns:
//
//	func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
//		return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
//			return a.mailer.Ask(ctx, e, p.ID())
//		})
//	}
//
// Start stores the task token, runs ask, and returns activity.ErrResultPending.
// Do not wrap that error: the SDK compares it with ==. The function ask sends
// the callback ID to the external system. The answer may arrive while ask still
// runs.
//
// Start runs ask at least once in each round, and again in a later attempt
// unless Once is set. The function ask should therefore be safe to repeat. The
// callback ID stays the same within the round and can serve as an idempotency
// key of the request.
//
// If ask returns an error, the attempt fails with it; if ask panics, the panic
// continues. In both cases the entry stays, because the external system may
// have the callback ID. If an answer was accepted before, Start delivers the
// answer. Start then does not run ask, or it only logs the error of ask.
//
// Any other error means one of the following:
//
//   - the store failed;
//   - the key is in use (ErrKeyInUse);
//   - Temporal could not be asked what happened to an earlier answer;
//   - Start was misused: outside an activity, in a local activity, with a nil
//     hub or function, or with a T that is an interface or has no name. In an
//     activity, misuse fails the activity without retries.
func Start[T any](ctx context.Context, h *Hub, o StartOptions, ask func(ctx context.Context, p Pending[T]) error) (T, error) {
	var none T // a worker ignores a result that comes with an error
	name, err := resultType[T]()
	if err == nil && ask == nil {
		err = errors.New("the function is nil")
	}
	return none, start(ctx, h, o, name, err, func(ctx context.Context, c Callback) error { return ask(ctx, Pending[T]{c}) })
}

func start(ctx context.Context, h *Hub, o StartOptions, resultType string, wrong error, ask func(context.Context, Callback) error) error {
	if !activity.IsActivity(ctx) {
		return failed("start", "", errors.New("the context is not an activity's"))
	}
	info := activity.GetInfo(ctx)
	switch {
	case wrong != nil:
	case h == nil:
		wrong = errors.New("the hub is nil")
	case info.IsLocalActivity:
		wrong = errors.New("a local activity ends with its function, so it cannot wait for an answer")
	case len(info.TaskToken) == 0:
		wrong = errors.New("the activity has no task token")
	case checkKey(o.Key) != nil:
		wrong = checkKey(o.Key)
	case len(o.Pump) > maxPump || !utf8.ValidString(o.Pump):
		wrong = fmt.Errorf("StartOptions.Pump must be at most %d bytes of UTF-8, got %d bytes", maxPump, len(o.Pump))
	default:
		wrong = checkLabels(o.Labels)
	}
	if wrong != nil {
		return temporal.NewNonRetryableApplicationError("async: start: "+wrong.Error(), misuse, nil)
	}
	return h.starter.startActivity(ctx, info, o, resultType, ask)
}

// recordOf returns the record of an activity as if this attempt were its first.
func recordOf(info activity.Info, o StartOptions, resultType string) *record.Record {
	r := &record.Record{
		Namespace:        info.Namespace,
		WorkflowId:       info.WorkflowExecution.ID,
		RunId:            info.WorkflowExecution.RunID,
		ActivityId:       info.ActivityID,
		ActivityType:     info.ActivityType.Name,
		ActivityRunId:    info.ActivityRunID,
		TaskQueue:        info.TaskQueue,
		Scheduled:        toNano(info.ScheduledTime),
		Attempt:          info.Attempt,
		Started:          toNano(info.StartedTime),
		TaskToken:        info.TaskToken,
		Deadline:         toNano(info.Deadline),
		HeartbeatTimeout: int64(info.HeartbeatTimeout),
		State:            record.Waiting,
		ResultType:       resultType,
		Secret:           record.NewSecret(),
		Key:              o.Key,
		Once:             o.Once,
		Labels:           o.Labels,
		Pump:             o.Pump,
		Created:          time.Now().UnixNano(),
	}
	if info.WorkflowType != nil {
		r.WorkflowType = info.WorkflowType.Name
	}
	return r
}

func checkLabels(labels map[string]string) error {
	size := 0
	for k, v := range labels {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return errors.New("a label is not UTF-8")
		}
		size += len(k) + len(v)
	}
	if size > maxLabels {
		return fmt.Errorf("labels must be at most %d bytes in all, got %d", maxLabels, size)
	}
	return nil
}
