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

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// StartOptions say how an activity asks. The zero value is good.
type StartOptions struct {
	// Key is a business key, such as an order's number, unique in the
	// namespace while its activity waits: whoever knows it finds the activity
	// with [OpenKey]. A later activity of the same workflow takes it over, and
	// gets an answer that the earlier one didn't. At most 1 KiB. Defaults to
	// none.
	Key string

	// Once asks once for each round, not for each attempt: an attempt that
	// finds that the outside has been asked, or that a reference is
	// remembered, doesn't run the function. Defaults to false.
	Once bool

	// PerAttempt gives each attempt a callback ID of its own; answers to older
	// ones get ErrSuperseded. It excludes Once. Defaults to false.
	PerAttempt bool

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

// errUnresolved fails an attempt that nobody was asked for: the next one will.
var errUnresolved = errors.New("async: whether the failure that was accepted before has ended the attempt before this one can't be asked now")

// maxUnknown bounds how often Start asks for that, and firstUnknown how fast.
const (
	maxUnknown   = 4
	firstUnknown = 100 * time.Millisecond
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
	case o.Once && o.PerAttempt:
		wrong = errors.New("StartOptions.Once and PerAttempt exclude each other: with an ID of its own each attempt asks")
	case checkKey(o.Key) != nil:
		wrong = checkKey(o.Key)
	case len(o.Pump) > maxPump || !utf8.ValidString(o.Pump):
		wrong = fmt.Errorf("the pump's name has %d bytes, not at most %d in UTF-8", len(o.Pump), maxPump)
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
	h.warnOfBeats(ctx, r)
	e, next, err := h.begin(ctx, entryID(r), r)
	if err != nil {
		return failed("start", entryID(r), err)
	}
	if next == stepPending {
		return activity.ErrResultPending
	}
	return h.handOff(ctx, e, ask)
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
		PerAttempt:       o.PerAttempt,
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
		return fmt.Errorf("the labels have %d bytes, over %d", size, maxLabels)
	}
	return nil
}

// begin brings the attempt to its entry, making one where there is none, and
// delivers what has been answered before. It returns stepAsk or stepPending.
func (h *Hub) begin(ctx context.Context, id string, r *record.Record) (entry, step, error) {
	unknown := 0
	for range maxConflicts {
		e, err := h.load(ctx, id)
		next, changed := stepAsk, true
		switch {
		case errors.Is(err, store.ErrNotFound):
			e = entry{id: id, rec: r}
		case err != nil:
			return entry{}, 0, err
		default:
			if err := h.lookBeforeDropping(ctx, e.rec, r); err != nil {
				return entry{}, 0, err
			}
			before, settledBefore := aboutRound(e.rec), e.rec.State == record.Settled
			if r.Key != "" && (e.rec.Early || !sameActivity(e.rec, r)) {
				next, changed, err = h.takeOver(ctx, &e, r)
				settledBefore = false // it tells for itself
			} else {
				next, changed, err = arrive(id, e.rec, r)
			}
			if err != nil {
				return entry{}, 0, err
			}
			if settledBefore && e.rec.State == record.Waiting && e.rec.Rounds[len(e.rec.Rounds)-1].Fingerprint == nil {
				h.noticeOf(e.rec, before, record.NoticeOver, record.EndTypeMismatch, time.Now())
				h.log.ErrorContext(ctx, "async: an accepted outcome was not delivered, since the activity now awaits another type",
					slog.String("callback", shortID(id)), slog.String("awaits", r.ResultType))
			}
		}
		if changed {
			if e.rec.State == record.Waiting && e.rec.HandedOffStarted == e.rec.Started && e.rec.LastBeat == 0 {
				h.startBeats(e, begun(e.rec, time.Now()), time.Now()) // the outside was asked by an attempt before
			}
			if e.due = h.dueAt(e.rec); next == stepDeliver {
				h.claim(&e, time.Now())
			}
			if e, err = h.save(ctx, e); errors.Is(err, errConflict) {
				continue
			} else if err != nil {
				return entry{}, 0, err
			}
		}
		if next != stepDeliver {
			return e, next, nil
		}
		delivered, err := h.deliver(ctx, e, starter)
		if err == nil {
			e = delivered
		}
		// A failure may turn out to have ended the attempt before this one: then
		// this one asks. While that isn't known, it can't be left waiting: if
		// nobody is asked, nobody will answer.
		switch failure := e.rec.Outcome.GetKind() == record.Failure && e.rec.Outcome.Started < r.Started; {
		case !failure:
			return e, stepPending, nil
		case err == nil && e.rec.State == record.Closed:
		case unknown == maxUnknown:
			return entry{}, 0, errUnresolved
		default:
			unknown++
			pause(ctx, jitter(firstUnknown<<unknown))
		}
	}
	return entry{}, 0, errConflicts
}

// lookBeforeDropping closes the record where its outcome has reached Temporal
// unknown to us. It asks only where a later attempt awaits another type, and so
// would drop the outcome.
func (h *Hub) lookBeforeDropping(ctx context.Context, r, now *record.Record) error {
	if h.completer == nil || r.State != record.Settled || !sameActivity(r, now) || now.Started <= r.Started || r.ResultType == now.ResultType {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	status, err := h.completer.Describe(ctx, target(r).ByID(), r.Outcome.GetMark())
	if err != nil {
		return fmt.Errorf("whether the answer that came before was taken can't be asked now: %w", err)
	}
	if status.Pending && status.LastMark == r.Outcome.GetMark() || !status.Pending && status.End == EndOurs {
		closed(r, record.EndDelivered, time.Now())
		h.notice(r, record.NoticeDelivered, record.EndDelivered, time.Now())
	}
	return nil
}

// handOff runs ask, and records that the outside has been asked.
func (h *Hub) handOff(ctx context.Context, e entry, ask func(context.Context, Callback) error) (err error) {
	stop := h.beatMeanwhile(ctx, e.clone())
	returned := false
	defer func() {
		if !returned { // a panic, which goes on
			h.handedOff(ctx, e, stop(), errors.New("the function panicked"))
		}
	}()
	err = ask(ctx, Callback{hub: h, id: new(callbackID(e.id, e.rec.Secret)), entry: e.clone()})
	returned = true
	if answered := h.handedOff(ctx, e, stop(), err); err != nil && !answered {
		return err
	}
	return activity.ErrResultPending
}

// handedOff writes what came of the hand-off to the entry, as it was before
// the function ran. It reports whether the activity has been answered, so that
// an error of the function is no longer the activity's. heard is when the
// server last heard of the attempt.
func (h *Hub) handedOff(ctx context.Context, e entry, heard time.Time, askErr error) (answered bool) {
	// The hand-off has happened, whatever has become of the activity's context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	log := h.log.With(slog.String("callback", shortID(e.id)))
	started := e.rec.Started
	for range maxConflicts {
		switch {
		case e.rec.State == record.Waiting && e.rec.Started != started:
			return false // a later attempt asks for itself
		case e.rec.State == record.Waiting && askErr == nil:
			e.rec.HandedOffStarted = started
			e.rec.DetailsReadStarted = 0 // the function may have recorded details until now, also where a second Start of its attempt was first
			h.startBeats(e, heard, time.Now())
			e.due = h.dueAt(e.rec)
		case e.rec.State == record.Waiting:
			e.rec.NextQuestion = time.Now().Add(firstQuestion).UnixNano()
			e.due = h.dueAt(e.rec)
		case e.rec.State == record.Closed && e.rec.End != record.EndDelivered, !known(e.rec.State):
			return false // nobody's answer stands
		default:
			if askErr != nil {
				log.WarnContext(ctx, "async: the function failed after the answer had been accepted", slog.String("error_type", fmt.Sprintf("%T", askErr)))
			}
			h.deliverDue(ctx, e)
			return true
		}
		_, err := h.save(ctx, e)
		if errors.Is(err, errConflict) {
			e, err = h.load(ctx, e.id)
			if err == nil {
				continue
			}
		}
		if err != nil {
			log.WarnContext(ctx, "async: the hand-off could not be recorded", slog.Any("error", err))
		}
		return false
	}
	return false
}
