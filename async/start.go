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
	// Key is a business key, such as an order's number, unique in the
	// namespace while its activity waits: [OpenKey] finds the activity by it. A
	// later activity of the same workflow takes the key over. At most 1 KiB.
	// Defaults to none.
	Key string

	// Once asks once for each round, not for each attempt: an attempt that
	// finds that the outside has been asked, or that a reference is
	// remembered, doesn't run the function. Defaults to false.
	Once bool

	// Labels are shown to operators, at most 4 KiB in all. No secrets.
	// Defaults to none.
	Labels map[string]string

	// Pump is who heartbeats while the activity waits: a name in
	// [Options].Pumps, of a hub that runs. Defaults to "", which is KeepAlive
	// unless the options say otherwise.
	Pump string
}

const (
	maxLabels    = 4 << 10 // bytes
	maxPump      = 256     // bytes
	maxReference = 4 << 10 // bytes

	// wrapUp bounds what Start still does when its activity's context has ended.
	wrapUp = 5 * time.Second
)

// misuse is the type of the failure by which a programming error fails the
// activity. It isn't retried, since the next attempt would make it again.
const misuse = "latchkey.Misuse"

// Start hands an activity over to the outside. It is called in an activity's
// function, which returns what Start returns:
//
//	func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
//		return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
//			return a.mailer.Ask(ctx, e, p.ID())
//		})
//	}
//
// It saves the task token first, then runs ask, which tells the outside the
// callback ID, and returns activity.ErrResultPending, bare: the SDK compares it
// with ==, so it must not be wrapped. Whoever has the callback ID answers with
// [Open], from any process that shares the store; the answer may come while
// ask still runs.
//
// ask is run at least once for each round, and again by a later attempt unless
// Once is set: what it does should be safe to repeat, and the callback ID is
// the same, so that it can serve as the outside's idempotency key. An error of
// ask goes to the worker as the activity's own, and a panic goes on; the entry
// stays, since the outside may have been told. Where an answer was accepted
// before, ask doesn't run or its error is only logged, and the answer is
// delivered.
//
// An error that is not ask's own means that the store failed, that the key is
// in use (ErrKeyInUse), that Temporal couldn't be asked what became of an
// earlier answer, or that Start was misused: outside an activity, in a local activity, without a hub or a
// function, or with a T that is an interface or has no name. Misuse within an
// activity fails it without retries.
func Start[T any](ctx context.Context, h *Hub, o StartOptions, ask func(ctx context.Context, p Pending[T]) error) (T, error) {
	var none T // what an activity returns beside an error isn't read
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
		wrong = errors.New("a local activity ends with its function, and can't be answered from outside")
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
