package async

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simVoters are the people who vote on a waiting activity. Two of the voters
// decide.
var simVoters = []string{"ada", "bob", "cyd", "dee"}

const (
	simVote    = "vote"
	simReason  = "reason of "
	simDecided = simSecret + "decided by "
)

// simNoteOf returns the note of one voter. The note of a voter is the same each
// time, so that it can be repeated.
func simNoteOf(kind string, voter int) Note {
	data, _ := json.Marshal(simSecret + simVoters[voter])
	return Note{At: time.Unix(1_700_000_000+int64(voter), 0), Kind: kind, By: simVoters[voter], Data: data}
}

// votersIn returns the first two people who have voted.
func votersIn(notes []Note) (voters []string) {
	for _, n := range notes {
		if n.Kind == simVote && !slices.Contains(voters, n.By) && len(voters) < 2 {
			voters = append(voters, n.By)
		}
	}
	return voters
}

// opNote adds a note.
func (w *simWorld) opNote() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	p := w.proc()
	f := w.push("note", p)
	defer w.pop()
	before := w.records[ask.entry]
	n := simNoteOf("comment", w.rng.n(len(simVoters)))
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		err = c.Note(context.Background(), n)
	}
	w.logf("%s: Note by %s: %v", p.name, n.By, err)
	w.shownError("Note", err)
	w.noted(f, ask, before, n, err)
	if had := isNoted(ask, before, n); err == nil && !p.dead && !f.rough && had {
		w.hit("any: an equal note is not added again")
	} else if err == nil && !p.dead && !f.rough {
		w.hit("any: a note is added, and stays with its round")
	}
}

// opDecide adds a vote in a round that two votes decide.
func (w *simWorld) opDecide() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	p := w.proc()
	f := w.push("decide", p)
	defer w.pop()
	before := w.records[ask.entry]
	n := simNoteOf(simVote, w.rng.n(len(simVoters)))
	ask.offered[simVote] = true
	pending, err := Open[simA](context.Background(), p.hub, ask.id)
	done := false
	if err == nil {
		done, err = pending.Decide(context.Background(), n, func(notes []Note) (simA, bool, error) {
			voters := votersIn(notes)
			return simA{simDecided + strings.Join(voters, ",")}, len(voters) == 2, nil
		})
	}
	w.logf("%s: Decide by %s: %v, %v", p.name, n.By, done, err)
	w.shownError("Decide", err)
	w.noted(f, ask, before, n, err)
	if p.dead || f.rough || before == nil || record.NewCallbackID(ask.entry, before.Secret).Reveal() != ask.id {
		return
	}
	settled := State(before.State) == Settled || State(before.State) == Closed && before.End == record.EndDelivered
	switch had := isNoted(ask, before, n); {
	case err == nil && !done:
		w.hit("Waiting: a note that decides nothing is added")
	case settled && before.ResultType == "A" && had:
		w.expect(err == nil && done, "Settled, or Closed and delivered: a note that is there is repeated: nothing")
	case settled && before.ResultType == "A":
		w.expect(errors.Is(err, ErrSettled), "Settled, or Closed and delivered: another note to decide by: ErrSettled")
	}
}

// opRefresh calls Refresh for a request.
func (w *simWorld) opRefresh() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[w.rng.n(len(w.asks))]
	p := w.proc()
	w.push("refresh", p)
	defer w.pop()
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		c, err = c.Refresh(context.Background())
	}
	w.logf("%s: Refresh: %v, %v", p.name, c.Info().State, err)
	w.shownError("Refresh", err)
}

// isNoted reports whether a note is in the journal of the round of the request.
func isNoted(ask *simAsk, r *record.Record, n Note) bool {
	return r != nil && record.NewCallbackID(ask.entry, r.Secret).Reveal() == ask.id && slices.ContainsFunc(r.Notes, func(m *record.Note) bool {
		return m.At == n.At.UnixNano() && m.Kind == n.Kind && m.By == n.By && string(m.Data) == string(n.Data)
	})
}

// noted checks that an acknowledged note is in the journal.
func (w *simWorld) noted(f *simFrame, ask *simAsk, before *record.Record, n Note, err error) {
	after := w.records[ask.entry]
	if err != nil || f.p.dead || after == nil || record.NewCallbackID(ask.entry, after.Secret).Reveal() != ask.id {
		return
	}
	if !isNoted(ask, after, n) {
		w.violate("journal", "a note was acknowledged, and is not there")
	}
}

// observeJournal checks the change of a write to the journal.
func (w *simWorld) observeJournal(before, after *record.Record) {
	if string(before.Secret) != string(after.Secret) {
		if len(after.Notes) > 0 {
			w.violate("journal", "a round begins with notes of another")
		}
		if len(before.Notes) > 0 {
			w.hit("any: the next round begins: the journal goes")
		}
		return
	}
	if len(after.Notes) < len(before.Notes) || !slices.EqualFunc(before.Notes, after.Notes[:len(before.Notes)], func(a, b *record.Note) bool { return proto.Equal(a, b) }) {
		w.violate("journal", "a note went away or changed within its round")
		return
	}
	for i, n := range after.Notes {
		if slices.ContainsFunc(after.Notes[:i], func(m *record.Note) bool { return proto.Equal(m, n) }) {
			w.violate("journal", "a note was added twice")
		}
	}
	added := after.Notes[len(before.Notes):]
	w.observeReason(before, after, added)
	if State(before.State) != Waiting && slices.ContainsFunc(added, func(n *record.Note) bool { return n.Kind == simVote }) {
		w.violate("journal", "a vote was added after the outcome")
	}
}

// reasoned returns a context with an operator's note. The note must be written
// together with the operator's change.
func (w *simWorld) reasoned(f *simFrame) context.Context {
	n := simNoteOf(simReason+f.op, len(w.asks)%len(simVoters))
	f.reason = &n
	return WithNote(context.Background(), n)
}

// observeReason checks that an operator's note and the operator's change are
// one write.
func (w *simWorld) observeReason(before, after *record.Record, added []*record.Note) {
	f := w.frame()
	acted := f.op == "answer" && before.State == record.Waiting && after.State == record.Settled ||
		f.op == "abandon" && before.State != record.Closed && after.State == record.Closed
	noted := slices.ContainsFunc(added, func(n *record.Note) bool { return strings.HasPrefix(n.Kind, simReason) })
	switch {
	case acted && f.reason != nil && !slices.ContainsFunc(after.Notes, func(n *record.Note) bool { return n.Kind == f.reason.Kind && n.By == f.reason.By }):
		w.violate("journal", "an operator acted, and the note is not in the same write")
	case noted && !acted:
		w.violate("journal", "an operator's note was written, and not what the operator did")
	case noted:
		w.hit("Waiting or Settled: an operator's note and action are one write")
	}
}

// settledByVote checks an outcome that votes have decided.
func (w *simWorld) settledByVote(r *record.Record, says string) {
	by, ok := strings.CutPrefix(says, simSays(0, "A", simDecided))
	if !ok {
		return
	}
	voters := make(map[string]bool)
	for _, n := range r.Notes {
		if n.Kind == simVote {
			voters[n.By] = true
		}
	}
	if len(voters) != 2 || strings.Join(votersIn(notesOf(r)), ",") != by {
		w.violate("journal", "%s decided, and the votes in the journal are %v", by, voters)
	}
	w.hit("Waiting: a note that decides settles, in one write")
}

// simBrokenJournal are versions that treat the journal wrongly.
var simBrokenJournal = map[string]simBroken{
	"the outcome decided without its note":         {by: "journal", put: settleUnnoted},
	"a note written over what is there":            {by: "journal", put: forceNote},
	"the journal carried into the next round":      {by: "journal", put: carryNotes},
	"the journal dropped with what nothing reads":  {by: "journal", put: shrinkNotes},
	"an operator's note written before the action": {by: "journal", put: noteFirst},
	"an action written without its note":           {by: "journal", put: actUnnoted},
	"a note added again by a repeat of the caller": {by: "journal", put: noteAgain},
}

func settleUnnoted(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Settled && s.p.w.frame().op == "decide" && r.Delivery.GetTries() == 0 {
		r.Notes = r.Notes[:len(r.Notes)-1]
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// forceNote is a Note without compare-and-swap.
func forceNote(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	version, err := s.put(ctx, e, r)
	if op := s.p.w.frame().op; !errors.Is(err, store.ErrConflict) || op != "note" && op != "decide" {
		return version, err
	}
	if now, err := s.Get(ctx, e.ID); err == nil {
		e.Version = now.Version
	}
	return s.put(ctx, e, r)
}

func carryNotes(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if before := s.p.w.records[e.ID]; before != nil && string(before.Secret) != string(r.Secret) && len(before.Notes) > 0 {
		r.Notes = before.Notes
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

func shrinkNotes(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if State(r.State) == Closed && len(r.Notes) > 0 {
		r.Notes = nil
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// noteAgain is a Note that does not look for an equal note.
func noteAgain(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if before := s.p.w.records[e.ID]; s.p.w.frame().op == "note" && before != nil && len(r.Notes) > len(before.Notes) && len(before.Notes) > 0 {
		r.Notes = append(r.Notes, proto.CloneOf(r.Notes[len(r.Notes)-1]))
		e.Body = rewritten(e, r, s.p.hub).Body
	}
	return s.put(ctx, e, r)
}

// noteFirst is an Abandon that writes its note before the change.
func noteFirst(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	before := s.p.w.records[e.ID]
	if s.p.w.frame().op != "abandon" || before == nil || len(r.Notes) != len(before.Notes)+1 || e.Version == 0 {
		return s.put(ctx, e, r)
	}
	first := proto.CloneOf(before)
	first.Notes = r.Notes
	noted := rewritten(e, first, s.p.hub)
	version, err := s.put(ctx, noted, first)
	if err != nil {
		return version, err
	}
	e.Version = version
	return s.put(ctx, e, r)
}

func actUnnoted(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if before := s.p.w.records[e.ID]; s.p.w.frame().op == "answer" && before != nil && State(r.State) == Settled && len(r.Notes) > len(before.Notes) {
		r.Notes = r.Notes[:len(r.Notes)-1]
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}
