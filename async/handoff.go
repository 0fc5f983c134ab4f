package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// handOff runs the function and records that it has returned.
func (s *starter) handOff(ctx context.Context, e entry, wait *storeWait, seen observation, ask func(context.Context, Callback) error) (err error) {
	stop := s.beatMeanwhile(ctx, e, wait.heard, true)
	returned := false
	defer func() {
		if !returned { // the function panicked, and the panic continues
			seen.end(Done{Class: classPanicked, Info: seen.after(e)})
			s.handedOff(ctx, e, wait.afterwards(ctx, stop()), errors.New("the function panicked"))
		}
	}()
	err = ask(ctx, s.callback(handle{id: new(e.callbackID()), entry: e.clone()}))
	returned = true
	seen.end(Done{Class: handOffClass(err), Info: seen.after(e)})
	if answered := s.handedOff(ctx, e, wait.afterwards(ctx, stop()), err); err != nil && !answered {
		return err
	}
	notePending(ctx)
	return activity.ErrResultPending
}

// handedOff writes the result of the hand-off to the entry. The given entry is
// from before the function ran. handedOff reports whether the activity has been
// answered. An error of the function then no longer fails the activity. While
// the store is unavailable, handedOff waits.
func (s *starter) handedOff(ctx context.Context, e entry, wait *storeWait, askErr error) (answered bool) {
	// The hand-off has happened, even if the activity's context has ended.
	ctx = context.WithoutCancel(ctx)
	before := e
	started := e.rec.Started
	e, err := wait.entries().update(ctx, e, func(e entry) (entry, bool, error) {
		answered = false
		switch {
		case e.rec.State == record.Waiting && e.rec.Started != started:
			return e, false, nil // a later attempt runs its own function
		case e.rec.State == record.Waiting && askErr == nil:
			e.rec.HandedOffStarted = started
			e.rec.DetailsReadStarted = 0 // the function may have recorded details until now, even if a second Start of its attempt returned first
			s.beater.begin(e, wait.heard, time.Now())
			s.rules.at(time.Now()).PlanQuestion(e.rec)
			return e, true, nil
		case e.rec.State == record.Waiting:
			e.rec.NextQuestion = time.Now().Add(lifecycle.FirstQuestion).UnixNano()
			return e, true, nil
		}
		// The answer is valid, unless the activity ended without it.
		answered = lifecycle.Known(e.rec.State) && (e.rec.State != record.Closed || e.rec.End == record.EndDelivered)
		return e, false, nil
	})
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "async: the hand-off could not be recorded: answers are taken, but no hub heartbeats for this attempt",
			anys(append(fields(before.id, before.rec, OpHandOff, classFailed, err), slog.Any("error", err)))...)
		return false
	case answered && askErr != nil:
		s.log.WarnContext(ctx, "async: the function failed after the answer had been accepted", anys(fields(e.id, e.rec, OpHandOff, classFailed, askErr))...)
	}
	if answered {
		ctx, cancel := context.WithTimeout(ctx, wrapUp)
		defer cancel()
		s.deliverer.deliverDue(ctx, e)
	}
	return answered
}
