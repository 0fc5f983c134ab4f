package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
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

// maxUnresolved is how often Start asks Temporal again for that, and
// firstUnresolved how long it waits before the first time.
const (
	maxUnresolved   = 4
	firstUnresolved = 100 * time.Millisecond
)

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

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
	return none, h.start(ctx, o, name, err, func(ctx context.Context, c Callback) error { return ask(ctx, Pending[T]{c}) })
}

func (h *Hub) start(ctx context.Context, o StartOptions, resultType string, wrong error, ask func(context.Context, Callback) error) error {
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
	return h.startActivity(ctx, info, o, resultType, ask)
}

func (h *Hub) startActivity(ctx context.Context, info activity.Info, o StartOptions, resultType string, ask func(context.Context, Callback) error) error {
	r := recordOf(info, o, resultType)
	ctx, seen := h.observeHandOff(ctx, r)
	h.warnOfBeats(ctx, r)
	wait := h.newStoreWait(entryID(r), r)
	e, next, err := h.begin(ctx, entryID(r), r, wait)
	if err != nil {
		seen.end(Done{Class: classFailed})
		return failed("start", entryID(r), err)
	}
	if next == lifecycle.Nothing {
		seen.end(Done{Class: classNotRun, Info: h.seenInfo(seen, e)})
		notePending(ctx)
		return activity.ErrResultPending
	}
	return h.handOff(ctx, e, wait, seen, ask)
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
		Secret:           newSecret(),
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

// begin brings the attempt to its entry, making one where there is none, and
// delivers what has been answered before. It returns lifecycle.Run or Nothing.
// While the store is away it waits.
func (h *Hub) begin(ctx context.Context, id string, r *record.Record, wait *storeWait) (entry, lifecycle.Next, error) {
	unresolved, stored := 0, wait.entries()
	for range maxConflicts {
		e, a, again, err := h.arrive(ctx, stored, id, r)
		if errors.Is(err, lifecycle.ErrUnresolved) {
			if h.completer != nil && unresolved < maxUnresolved {
				unresolved++
				pause(ctx, jitter(firstUnresolved<<unresolved))
				continue
			}
			if lifecycle.Outrun(e.rec) {
				e.until = e.due
				_, _ = stored.save(ctx, e) // without it the numbers of the attempts tell, unless a reset changes them
			}
		}
		if err != nil {
			return entry{}, 0, err
		}
		if a.Changed {
			now := time.Now()
			if a.Next == lifecycle.Run {
				h.policy(now).BeginHandOff(e.rec, r)
			}
			if e.rec.State == record.Waiting && e.rec.HandedOffStarted == e.rec.Started && e.rec.LastBeat == 0 {
				h.startBeats(e, begun(e.rec, now), now) // the function of an attempt before has returned
			}
			if a.Next == lifecycle.Deliver {
				h.policy(now).Claim(e.rec)
			}
			h.policy(now).PlanQuestion(e.rec)
			if e, err = stored.save(ctx, e); errors.Is(err, errConflict) {
				continue
			} else if err != nil {
				return entry{}, 0, err
			}
		}
		if again {
			h.lookForWrapped(ctx, r)
		}
		if a.Next != lifecycle.Deliver {
			return e, a.Next, nil
		}
		as := starter
		if a.First {
			as = resolver
		}
		if delivered, err := h.deliver(ctx, e, as); err == nil {
			e = delivered
		}
		return e, lifecycle.Nothing, nil
	}
	return entry{}, 0, errConflicts
}

// arrive reads the entry, and decides on an attempt that arrives. It asks
// Temporal what the decision needs to know. again reports whether an attempt
// before had handed the activity over, and should still wait.
func (h *Hub) arrive(ctx context.Context, stored *entries, id string, now *record.Record) (e entry, a lifecycle.Arrival, again bool, err error) {
	e, err = stored.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return entry{id: id, rec: now}, lifecycle.Arrival{Next: lifecycle.Run, Changed: true}, false, nil
	}
	if err != nil {
		return entry{}, a, false, err
	}
	again = wasHandedOver(e.rec, now)
	from := contextOf(e.rec) // what is stored may be bound to another activity
	var said lifecycle.Words
	for {
		a, err = h.policy(time.Now()).Arrive(id, e.rec, now, said)
		switch {
		case err != nil:
			return e, a, again, err
		case a.Next == lifecycle.DescribeArriving:
			mark := ""
			if lifecycle.SameActivity(e.rec, now) {
				mark = e.rec.Outcome.GetMark()
			}
			said.Arriving, err = h.word(ctx, now, mark)
			if err != nil && mark != "" && e.rec.Outcome.Kind == record.Failure && e.rec.ResultType == now.ResultType {
				err = lifecycle.ErrUnresolved
			}
		case a.Next == lifecycle.DescribeEarlier:
			said.Earlier, err = h.word(ctx, e.rec, e.rec.Outcome.GetMark())
		default:
			if a.Mismatch {
				h.log.ErrorContext(ctx, "async: an accepted outcome was not delivered, because the activity now awaits another type",
					anys(append(fields(id, e.rec, OpHandOff, "type mismatch", nil), slog.String("awaits", now.ResultType)))...)
			}
			if a.Renamed {
				var enc encoder
				if enc, err = h.encoder.in(ctx); err == nil {
					err = enc.rebound(e.rec, from)
				}
			}
			return e, a, again, err
		}
		if err != nil {
			return e, a, again, err
		}
	}
}

// word asks Temporal about the record's activity.
func (h *Hub) word(ctx context.Context, r *record.Record, mark string) (*lifecycle.Word, error) {
	ctx, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	status, err := h.completer.Describe(ctx, target(r).ByID(), mark)
	if err != nil {
		return nil, fmt.Errorf("cannot ask Temporal about the activity now: %w", err)
	}
	return new(wordOf(status)), nil
}

// handOff runs ask, and records that the outside has been asked.
func (h *Hub) handOff(ctx context.Context, e entry, wait *storeWait, seen observation, ask func(context.Context, Callback) error) (err error) {
	stop := h.beatMeanwhile(ctx, e.clone(), wait.heard, true)
	returned := false
	defer func() {
		if !returned { // a panic, which goes on
			seen.end(Done{Class: classPanicked, Info: h.seenInfo(seen, e)})
			h.handedOff(ctx, e, wait.afterwards(ctx, stop()), errors.New("the function panicked"))
		}
	}()
	err = ask(ctx, Callback{hub: h, id: new(callbackID(e.id, e.rec.Secret)), entry: e.clone()})
	returned = true
	seen.end(Done{Class: handOffClass(err), Info: h.seenInfo(seen, e)})
	if answered := h.handedOff(ctx, e, wait.afterwards(ctx, stop()), err); err != nil && !answered {
		return err
	}
	notePending(ctx)
	return activity.ErrResultPending
}

// handedOff writes what came of the hand-off to the entry, as it was before
// the function ran. It reports whether the activity has been answered, so that
// an error of the function is no longer the activity's. While the store is away
// it waits.
func (h *Hub) handedOff(ctx context.Context, e entry, wait *storeWait, askErr error) (answered bool) {
	// The hand-off has happened, whatever has become of the activity's context.
	ctx = context.WithoutCancel(ctx)
	before := e
	started := e.rec.Started
	e, err := wait.entries().update(ctx, e, func(e entry) (entry, bool, error) {
		answered = false
		switch {
		case e.rec.State == record.Waiting && e.rec.Started != started:
			return e, false, nil // a later attempt asks for itself
		case e.rec.State == record.Waiting && askErr == nil:
			e.rec.HandedOffStarted = started
			e.rec.DetailsReadStarted = 0 // the function may have recorded details until now, also where a second Start of its attempt was first
			h.startBeats(e, wait.heard, time.Now())
			h.policy(time.Now()).PlanQuestion(e.rec)
			return e, true, nil
		case e.rec.State == record.Waiting:
			e.rec.NextQuestion = time.Now().Add(lifecycle.FirstQuestion).UnixNano()
			return e, true, nil
		}
		// An answer stands, unless the activity is over without it.
		answered = lifecycle.Known(e.rec.State) && (e.rec.State != record.Closed || e.rec.End == record.EndDelivered)
		return e, false, nil
	})
	switch {
	case err != nil:
		h.log.WarnContext(ctx, "async: the hand-off could not be recorded: answers are taken, but no hub heartbeats for this attempt",
			anys(append(fields(before.id, before.rec, OpHandOff, classFailed, err), slog.Any("error", err)))...)
		return false
	case answered && askErr != nil:
		h.log.WarnContext(ctx, "async: the function failed after the answer had been accepted", anys(fields(e.id, e.rec, OpHandOff, classFailed, askErr))...)
	}
	if answered {
		ctx, cancel := context.WithTimeout(ctx, wrapUp)
		defer cancel()
		h.deliverDue(ctx, e)
	}
	return answered
}
