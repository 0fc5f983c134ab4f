package async

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Find finds an activity by its token or by its IDs, as the completer of
// completer.New does.
func (c *simCompleter) Find(ctx context.Context, t completer.Target) (completer.Found, error) {
	w := c.p.w
	f := w.frame()
	found, err := around(w, ctx, false, "Find", func() (completer.Found, error) {
		if w.away {
			f.rough = true
			return completer.Found{}, errSimAway
		}
		if c.p.refused {
			f.rough = true
			return completer.Found{}, completer.ErrRefused
		}
		a := w.byID(t)
		switch {
		case a == nil:
			return completer.Found{}, completer.ErrOver
		case a.cur == nil:
			return completer.Found{}, completer.ErrNotStarted
		case len(t.TaskToken) > 0 && string(t.TaskToken) != a.token():
			return completer.Found{}, completer.ErrBadToken
		}
		return w.found(c.p, a, t.TaskToken), nil
	})
	w.logf("%s: Find: %v, %v", c.p.name, found.Target, err)
	return found, err
}

// found is Temporal's description of an activity whose attempt runs.
func (w *simWorld) found(p *simProc, a *simAct, token []byte) completer.Found {
	t := target(recordOf(a.cur.info(p.skew), a.options, a.cur.typ))
	t.TaskToken = token
	return completer.Found{
		Target: t, Attempt: a.num, HeartbeatTimeout: a.beats, Deadline: a.cur.deadline.Add(-p.skew), Status: w.describe(t, ""),
	}
}

// opAdopt registers an attempt of a worker that does not call Start. opAdopt
// uses the attempt's token, its IDs, or a token of another attempt.
func (w *simWorld) opAdopt() {
	a := w.activities(func(a *simAct) bool { return a.pending() && a.cur != nil && a.cur.calls == 0 })
	if a == nil {
		return
	}
	at, p := a.cur, w.worker()
	f := w.push("adopt", p)
	defer w.pop()
	o := AdoptOptions{
		Namespace: simNamespace, WorkflowID: a.run.workflow, RunID: a.run.run, ActivityID: a.id,
		Key: a.options.Key, Pump: a.options.Pump,
	}
	if a.run.standalone() {
		o.RunID, o.ActivityRunID = "", a.run.run
	}
	good := true
	switch w.rng.pick([]int{5, 4, 1}) {
	case 0:
		o.TaskToken = []byte(at.token)
		good = at.token == a.token() // a reset renumbers the attempt
	case 2:
		o.TaskToken, good = []byte(at.token+"0"), false
	}
	id := record.EntryID(recordOf(at.info(p.skew), a.options, at.typ))
	before := w.records[id]
	w.logf("%s: Adopt of attempt %d of %v, by token: %t", p.name, at.num, a, o.TaskToken != nil)
	at.returned = at.returned || good // set also if the reply to the write is lost
	c, err := p.hub.adopt(context.Background(), o, at.typ)
	w.logf("%s: Adopt: %v", p.name, err)
	if w.shownError("Adopt", err); p.dead {
		return
	}
	if err == nil {
		at.calls++
		at.ran++
		w.askOf(c.ID(), c, at)
	}
	w.adopted(f, simStarted{at: at, f: f, entry: id, before: before}, c, good, err)
}

// adopted checks the result of an Adopt if nothing happened in between.
func (w *simWorld) adopted(f *simFrame, s simStarted, c Callback, good bool, err error) {
	after := w.records[s.entry]
	switch {
	case f.rough:
		return
	case !good:
		if !errors.Is(err, ErrInvalidArgument) {
			w.violate("G4", "Adopt by a token that is not the attempt's: %v", err)
		}
		if after != s.before {
			w.violate("G4", "Adopt by a token that is not the attempt's has written")
		}
		w.hit("any, Adopt by another token: refused")
		return
	case err != nil:
		return // the entry has another type, or is unresolved
	case after == nil || State(after.State) != Waiting || w.actOfRecord(after) != s.at.act:
		return
	}
	if after.Started != s.at.started.UnixNano() || after.HandedOffStarted != after.Started {
		w.violate("G8", "an adopted attempt waits, and counts as not handed off")
	}
	if token := string(after.TaskToken); token != "" && token != s.at.token || token == "" && after.TokenLostStarted != after.Started {
		w.violate("G4", "an adopted attempt waits under the token %q", token)
	}
	switch {
	case s.before == nil:
		w.hit("none, Adopt: waits, as handed off")
	case s.before.State == record.Waiting && string(s.before.Secret) == string(after.Secret) && s.before.Started < after.Started:
		w.hit("Waiting, later attempt adopted: same round, as handed off")
	}
}

// simBrokenAdopt are versions that adopt activities wrongly.
var simBrokenAdopt = map[string]simBroken{
	"adopted and not handed off": {by: "G8", put: adoptUnasked},
	"adopted by any token":       {by: "G4", completer: func(c *simCompleter) completer.Completer { return simTrusting{c} }},
}

// adoptUnasked treats an adopted activity as one whose function has not run
// yet.
func adoptUnasked(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if s.p.w.frame().op == "adopt" && State(r.State) == Waiting && r.HandedOffStarted == r.Started {
		r.HandedOffStarted = 0
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// simTrusting accepts every token.
type simTrusting struct{ *simCompleter }

func (c simTrusting) Find(ctx context.Context, t completer.Target) (completer.Found, error) {
	token := t.TaskToken
	t.TaskToken = nil
	found, err := c.simCompleter.Find(ctx, t)
	found.Target.TaskToken = token
	return found, err
}
