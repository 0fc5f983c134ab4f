package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simBrokenShrink are versions in which a closed entry keeps the wrong fields.
var simBrokenShrink = map[string]simBroken{
	"the payload of an undelivered outcome dropped": {by: "G1", put: dropUndelivered},
	"the payload dropped before the Delivered hook": {by: "G6", put: dropUntold},
	"the token kept over the end":                   {by: "size", put: keepToken},
	"the fingerprint dropped with the payload":      {by: "G2", put: dropFingerprint},
}

func dropUndelivered(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Closed && r.Outcome != nil && r.End != record.EndDelivered {
		r.Outcome.Payload, r.Outcome.Gone = nil, true
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

func dropUntold(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Closed && r.End == record.EndDelivered && len(r.Notices) > 0 {
		r.Outcome.Payload, r.Outcome.Gone = nil, true
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

func keepToken(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if before := s.p.w.records[e.ID]; State(r.State) == Closed && before != nil {
		r.TaskToken = before.TaskToken
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

func dropFingerprint(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Closed && r.Outcome.GetGone() {
		r.Outcome.Fingerprint = nil
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}
