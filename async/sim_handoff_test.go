package async

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// handOffBeat is the operation of a worker that heartbeats while its function
// runs.
const handOffBeat = "hand-off beat"

// handOffBeats returns a function that sometimes sends a heartbeat of the
// worker while the function of an attempt runs.
func (w *simWorld) handOffBeats(at *simAttempt, c Callback) (beat func()) {
	outer := w.frame()
	p := outer.p
	if at.act.beats == 0 || p.hub.completer == nil || w.calm {
		return func() {}
	}
	k := handoffBeats{starter: p.hub.starter, e: c.entry.clone(), every: at.act.beats / 3, reads: true}
	seen, ours, over := fromNano(k.e.rec.Started), false, false
	return func() {
		if over || p.dead || !w.rng.chance(400) {
			return
		}
		f := w.push(handOffBeat, p)
		defer w.pop()
		f.reads = maps.Clone(outer.reads)
		w.sleep(time.Microsecond)
		before, had, act := w.records[k.e.id], at.act.details, at.act
		seen, ours, over = k.beat(context.Background(), k.starter.describer, seen, ours)
		outer.rough = outer.rough || f.rough
		after := w.records[k.e.id]
		if f.rough || before == nil || after == nil {
			return
		}
		w.handOffRow(f, over, had, act)
		if signals := signalsOf(after); signals != signalsOf(before) || !bytes.Equal(before.ServerDetailsDigest, after.ServerDetailsDigest) {
			w.hit("Waiting, the function runs: what a beat has learned is recorded")
		}
	}
}

func signalsOf(r *record.Record) lifecycle.Signals {
	return lifecycle.Signals{CancelRequested: r.CancelRequested, Paused: r.Paused, Reset: r.ResetRequested}
}

// handOffRow names the row of the state table for a beat if nothing happened in
// between. had are the details that Temporal had before.
func (w *simWorld) handOffRow(f *simFrame, over bool, had string, a *simAct) {
	switch calls := strings.Join(f.calls, " "); {
	case calls == "look:running beat:ok" && had != "" && a.details == had:
		w.hit("Waiting, the function runs, beat: with Temporal's details")
	case calls == "look:running beat:ok" && a.details != had:
		w.hit("Waiting, the function runs, beat: with the details brought")
	case calls == "look:running" && !over:
		w.hit("Waiting, the function runs and beats for itself: no beat")
	}
}

// checkPassedOn checks that the pending details of an external system reach
// Temporal before the outcome. The next attempt resumes from these details.
func (w *simWorld) checkPassedOn(f *simFrame, t completer.Target, m *simOutcome, a *simAct) {
	r := w.records[m.entry]
	if f.rough || w.landing || a.muddled || t.TaskToken == nil || a.cur == nil || r == nil || State(r.State) != Settled || r.Outcome.Mark != m.mark ||
		!lifecycle.DetailsPending(r) || r.TokenLostStarted == r.Started || a.cur.started.UnixNano() != r.Started ||
		!t.Started.Equal(a.cur.started) || // the hub has read the entry before this attempt's Start, and cannot know that the attempt runs
		a.lastBeat.UnixNano() > r.DetailsPendingSince {
		return
	}
	for _, call := range f.calls {
		if strings.HasSuffix(call, ":failed") || strings.HasSuffix(call, ":refused") {
			return // an outcome does not wait for its details without a limit
		}
	}
	brought := w.details[detailsText(r.Details)]
	if brought.skew == 0 && f.p.skew == 0 && w.details[a.details].no < brought.no {
		w.violate("G5", "an outcome was sent to %v, and the details brought before it were not", a)
	}
}

// simBrokenHandOff are versions in which the beats of the hand-off, or the
// treatment of pending details, are wrong.
var simBrokenHandOff = map[string]simBroken{
	"the worker beats without details": {by: "G5", completer: func(c *simCompleter) completer.Completer { return simEmptyBeats{c} }},
	"the worker beats with the details of an earlier look": {by: "G5", completer: func(c *simCompleter) completer.Completer {
		return simStaleLooks{c, make(map[time.Time]completer.Status)}
	}},
	"a beat that the pump skips counts as sent":           {by: "row", put: skipCounts},
	"an outcome is sent before the pending details":       {by: "G5", completer: func(c *simCompleter) completer.Completer { return simKeepsDetails{c} }},
	"pending details are sent to an attempt that is over": {by: "G5", completer: func(c *simCompleter) completer.Completer { return simRunsForever{c} }},
}

// simEmptyBeats loses Temporal's details while the function runs.
type simEmptyBeats struct{ *simCompleter }

func (c simEmptyBeats) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	if c.p.w.frame().op == handOffBeat {
		details = nil
	}
	return c.simCompleter.Heartbeat(ctx, t, details)
}

// simStaleLooks always gives the worker the answer to its first question.
type simStaleLooks struct {
	*simCompleter
	seen map[time.Time]completer.Status // keyed by the start of the attempt
}

func (c simStaleLooks) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	s, err := c.simCompleter.Describe(ctx, t, mark)
	if c.p.w.frame().op != handOffBeat || err != nil {
		return s, err
	}
	if first, ok := c.seen[t.Started]; ok {
		s.Details, s.LastHeartbeat = first.Details, first.LastHeartbeat
	}
	c.seen[t.Started] = s
	return s, nil
}

// skipCounts treats a beat that the pump skips as one that Temporal has.
func skipCounts(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().skips && State(r.State) == Waiting {
		r.LastBeat = time.Now().UnixNano()
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// simKeepsDetails treats pending details as sent when an outcome is sent next.
type simKeepsDetails struct{ *simCompleter }

func (c simKeepsDetails) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	if f := c.p.w.frame(); !f.beating && f.op != handOffBeat {
		return completer.Signals{}, nil
	}
	return c.simCompleter.Heartbeat(ctx, t, details)
}

// simRunsForever treats each attempt as running when pending details may be
// sent.
type simRunsForever struct{ *simCompleter }

func (c simRunsForever) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	s, err := c.simCompleter.Describe(ctx, t, mark)
	if f := c.p.w.frame(); mark == "" && !f.beating && f.op != handOffBeat && s.Pending {
		s.Running, s.Started = true, t.Started
	}
	return s, err
}
