package async

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simBrokenBehind are versions that record deliveries wrongly after the caller
// has returned.
var simBrokenBehind = map[string]simBroken{
	"written down before Temporal has taken it":  {by: "G1", completer: func(c *simCompleter) completer.Completer { return simHasty{c} }},
	"a claim that doesn't lapse before it is":    {by: "G6", put: claimForGood},
	"written down, and the hook never called":    {by: "G6", put: endUntold},
	"a caller who leaves takes the answer along": {by: "G6", put: claimWhileWaited},
	"left to others, and never due again":        {by: "G6", put: leaveForGood},
	"a refusal taken for the end":                {by: "G1", put: endRefused},
}

// simHasty gives the recorder outcomes that Temporal has not accepted.
type simHasty struct{ *simCompleter }

func (c simHasty) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	err := c.simCompleter.Complete(ctx, t, o)
	if c.p.hub.recorder.count(0) > 0 && c.p.w.frame().op == "answer" && o.Result != nil {
		return nil
	}
	return err
}

// claimForGood settles as if the recorder could not fail.
func claimForGood(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.hub.recorder.count(0) > 0 && s.p.w.frame().op == "answer" && State(r.State) == Settled && r.Delivery.GetTries() == 0 {
		e.Due = time.Time{}
	}
	return s.put(ctx, e, r)
}

// endUntold records a delivery and does not schedule the hook.
func endUntold(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().op == "write down" && State(r.State) == Closed {
		r.Notices = nil
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// claimWhileWaited settles as if every caller waited for the delivery.
func claimWhileWaited(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().op == "answer" && State(r.State) == Settled && r.Delivery.GetTries() == 0 && !r.Early {
		e.Due = time.Time{}
	}
	return s.put(ctx, e, r)
}

// leaveForGood leaves an answer to other hubs without a due time.
func leaveForGood(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.hub.health.open(simNamespace, anAnswer) && s.p.w.frame().op == "work" && State(r.State) == Settled && !r.Early {
		e.Due = time.Time{}
	}
	return s.put(ctx, e, r)
}

// endRefused ends an answer that one hub is not allowed to deliver.
func endRefused(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Settled && r.Delivery.GetLastError() == lifecycle.ClassRefused {
		s.p.hub.rules.at(time.Now()).Close(r, record.EndOther)
		r.Notices = nil
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}
