package async

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simBrokenBeats are versions in which a rule of heartbeats is wrong.
var simBrokenBeats = map[string]simBroken{
	"beats without details":                 {by: "G5", completer: func(c *simCompleter) completer.Completer { return simForgets{c} }},
	"beats begin when the token is saved":   {by: "G5", put: beatAtOnce},
	"beats go on though the token is lost":  {by: "G5", put: neverLost},
	"the server's details not adopted":      {by: "G5", put: adopted},
	"details brought are dropped by a beat": {by: "G5", put: dropBrought},
}

// simForgets sends beats without details, as the SDK's client does.
type simForgets struct{ *simCompleter }

func (c simForgets) Heartbeat(ctx context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
	return c.simCompleter.Heartbeat(ctx, t, nil)
}

func rewritten(e store.Entry, r *record.Record, h *Hub) store.Entry {
	due := lifecycle.Due(r, h.entries.retention)
	out, err := entry{id: e.ID, version: e.Version, due: due, rec: r}.encode()
	if err != nil {
		panic(err)
	}
	return out
}

// beatAtOnce treats the storing of the token as the end of the hand-off.
func beatAtOnce(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Waiting && s.p.w.frame().op == "start" && r.HandedOffStarted != r.Started {
		r.HandedOffStarted, r.LastBeat, r.NextBeat = r.Started, r.Started, r.Started
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// neverLost does not record that Temporal no longer accepts a token.
func neverLost(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Waiting && r.TokenLostStarted == r.Started && r.HandedOffStarted == r.Started {
		r.TokenLostStarted, r.NextBeat = 0, r.LastBeat+int64(simBeats)
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// adopted never reads the details that the server has.
func adopted(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Waiting && r.DetailsReadStarted != r.Started {
		r.DetailsReadStarted = r.Started
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// dropBrought treats details of the external system as sent after any beat.
func dropBrought(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().op == "work" && State(r.State) == Waiting && r.DetailsPendingSince != 0 {
		r.DetailsPendingSince, r.BeatPendingSince = 0, 0
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}
