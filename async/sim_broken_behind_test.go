package async

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simBrokenBehind are versions that are wrong in how deliveries are written down
// behind the caller.
var simBrokenBehind = map[string]simBroken{
	"written down before Temporal has taken it": {by: "G1", completer: func(c *simCompleter) Completer { return simHasty{c} }},
	"a claim that doesn't lapse before it is":   {by: "G6", put: claimForGood},
	"written down, and the hook never called":   {by: "G6", put: endUntold},
}

// simHasty leaves to the finisher what Temporal has not taken.
type simHasty struct{ *simCompleter }

func (c simHasty) Complete(ctx context.Context, t Target, o Outcome) error {
	err := c.simCompleter.Complete(ctx, t, o)
	if c.p.hub.finisher.count(0) > 0 && c.p.w.frame().op == "answer" && o.Result != nil {
		return nil
	}
	return err
}

// claimForGood settles as if the finisher could not fail.
func claimForGood(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.hub.finisher.count(0) > 0 && s.p.w.frame().op == "answer" && State(r.State) == Settled && r.Delivery.GetTries() == 0 {
		e.Due = time.Time{}
	}
	return s.put(ctx, e, r)
}

// endUntold writes down that something was delivered, and tells nobody.
func endUntold(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().op == "write down" && State(r.State) == Closed {
		r.Notices = nil
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}
