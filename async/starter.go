package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// starter finds or creates the entries of attempts, and hands activities over.
type starter struct {
	describer
	entries   *entries
	encoder   encoder
	rules     *rules
	deliverer *deliverer
	beater    *beater
	wheel     *wheel
	troubles  *troubles
	log       *slog.Logger
	lookout   *lookout
	storeWait time.Duration // zero: none
	callback  func(c handle) Callback
	warned    sync.Map // the activity types with a short heartbeat timeout
	sentinels sentinels
}

func (s *starter) startActivity(ctx context.Context, info activity.Info, o StartOptions, resultType string, ask func(context.Context, Callback) error) error {
	r := recordOf(info, o, resultType)
	ctx, seen := s.lookout.observeHandOff(ctx, r)
	s.warnOfBeats(ctx, r)
	id := record.EntryID(r)
	wait := s.newStoreWait(id, r)
	e, next, err := s.begin(ctx, id, r, wait)
	if err != nil {
		seen.end(Done{Class: classFailed})
		return failed("start", id, err)
	}
	if next == lifecycle.Nothing {
		seen.end(Done{Class: classNotRun, Info: seen.after(e)})
		notePending(ctx)
		return activity.ErrResultPending
	}
	return s.handOff(ctx, e, wait, seen, ask)
}

// maxUnresolved is how often Start asks Temporal again what happened to an
// earlier failure. firstUnresolved is half of the first delay.
const (
	maxUnresolved   = 4
	firstUnresolved = 100 * time.Millisecond
)

// begin finds the entry of the attempt, or creates it, and delivers an earlier
// answer. begin returns lifecycle.Run or lifecycle.Nothing. While the store is
// unreachable, begin waits.
func (s *starter) begin(ctx context.Context, id string, r *record.Record, wait *storeWait) (entry, lifecycle.Next, error) {
	unresolved, stored := 0, wait.entries()
	for range maxConflicts {
		e, a, again, err := s.arrive(ctx, stored, id, r)
		if errors.Is(err, lifecycle.ErrUnresolved) {
			if s.completer != nil && unresolved < maxUnresolved {
				unresolved++
				pause(ctx, jitter(firstUnresolved<<unresolved))
				continue
			}
			if lifecycle.Outrun(e.rec) {
				e.until = e.due
				_, _ = stored.save(ctx, e) // if this write fails, the numbers of the attempts decide, unless a reset changes them
			}
		}
		if err != nil {
			return entry{}, 0, err
		}
		if a.Changed {
			now := time.Now()
			if a.Next == lifecycle.Run {
				lifecycle.BeginHandOff(e.rec, r, now)
			}
			if e.rec.State == record.Waiting && e.rec.HandedOffStarted == e.rec.Started && e.rec.LastBeat == 0 {
				s.beater.begin(e, begun(e.rec, now), now) // the function of an earlier attempt has returned
			}
			if a.Next == lifecycle.Deliver {
				s.rules.at(now).Claim(e.rec)
			}
			s.rules.at(now).PlanQuestion(e.rec)
			if e, err = stored.save(ctx, e); errors.Is(err, errConflict) {
				continue
			} else if err != nil {
				return entry{}, 0, err
			}
		}
		if again {
			s.lookForWrapped(ctx, r)
		}
		if a.Next != lifecycle.Deliver {
			return e, a.Next, nil
		}
		as := byStarter
		if a.First {
			as = byResolver
		}
		if delivered, err := s.deliverer.deliver(ctx, e, as); err == nil {
			e = delivered
		}
		return e, lifecycle.Nothing, nil
	}
	return entry{}, 0, errConflicts
}

// arrive reads the entry, and decides about an arriving attempt. arrive asks
// Temporal the questions that the decision needs. again reports that an earlier
// attempt had handed the activity over and should still wait.
func (s *starter) arrive(ctx context.Context, stored *entries, id string, now *record.Record) (e entry, a lifecycle.Arrival, again bool, err error) {
	e, err = stored.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return entry{id: id, rec: now}, lifecycle.Arrival{Next: lifecycle.Run, Changed: true}, false, nil
	}
	if err != nil {
		return entry{}, a, false, err
	}
	again = wasHandedOver(e.rec, now)
	from := contextOf(e.rec) // the stored payloads may be bound to another activity
	var said lifecycle.Words
	for {
		a, err = s.rules.at(time.Now()).Arrive(id, e.rec, now, said)
		switch {
		case err != nil:
			return e, a, again, err
		case a.Next == lifecycle.DescribeArriving:
			mark := ""
			if lifecycle.SameActivity(e.rec, now) {
				mark = e.rec.Outcome.GetMark()
			}
			said.Arriving, err = s.word(ctx, now, mark)
			if err != nil && mark != "" && e.rec.Outcome.Kind == record.Failure && e.rec.ResultType == now.ResultType {
				err = lifecycle.ErrUnresolved
			}
		case a.Next == lifecycle.DescribeEarlier:
			said.Earlier, err = s.word(ctx, e.rec, e.rec.Outcome.GetMark())
		default:
			if a.Mismatch {
				s.log.ErrorContext(ctx, "async: an accepted outcome was not delivered, because the activity now awaits another type",
					anys(append(fields(id, e.rec, OpHandOff, "type mismatch", nil), slog.String("awaits", now.ResultType)))...)
			}
			if a.Renamed {
				var enc encoder
				if enc, err = s.encoder.in(ctx); err == nil {
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

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
