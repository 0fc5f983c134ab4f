package async

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simOutcome is a settled outcome.
type simOutcome struct {
	mark, entry, callback, says string
	typ                         string // of a result
	no                          int    // position in the order in which outcomes were settled
	accepts                     int
	first                       *simAct // the activity whose attempt the outcome ended first
	resets                      int     // number of resets of that activity at that time
	delivered                   bool    // a process knows that the outcome was delivered
	lost                        bool    // the outcome was delivered, but the record of this was lost
	expires                     int64   // when an early result expires
}

// simRound is the state of the round with a callback ID.
type simRound struct {
	settled  []string // marks
	accepted []string // marks, by Temporal
	over     bool     // a hook must be called for an end without an outcome
	told     []string
	failed   []string // hooks whose call has failed
}

func (w *simWorld) round(callback string) *simRound {
	r := w.rounds[callback]
	if r == nil {
		r = new(simRound)
		w.rounds[callback] = r
	}
	return r
}

// actOfRecord returns the activity of a record.
func (w *simWorld) actOfRecord(r *record.Record) *simAct { return w.actOf(target(r)) }

// put writes to the shared store, and checks the write.
func (w *simWorld) put(e store.Entry, r *record.Record) (uint64, error) {
	version, err := w.mem.Put(context.Background(), e)
	if err != nil {
		return version, err
	}
	before := w.records[e.ID]
	w.records[e.ID] = r
	w.writes++
	w.seen(e.ID)
	w.logf("%s: Put: %s, asked %t, end %v, %d notices, due %s", w.frame().p.name, State(r.State), r.HandedOffStarted == r.Started, r.End, len(r.Notices), simTime(e.Due))
	w.observe(e.ID, before, r)
	return version, nil
}

func (w *simWorld) remove(p *simProc, id string, version uint64) error {
	err := w.mem.Delete(context.Background(), id, version)
	if err != nil {
		return err
	}
	r := w.records[id]
	delete(w.records, id)
	w.logf("%s: Delete", p.name)
	if r == nil {
		return nil
	}
	if State(r.State) != Closed || len(r.Notices) > 0 {
		w.violate("G6", "an entry went away that was %v with %d notices untold", State(r.State), len(r.Notices))
	}
	if now := time.Now().Add(p.skew); now.Before(fromNano(r.Ended).Add(simRetention)) {
		w.violate("G6", "an entry went away before its retention was over")
	}
	w.hit("Closed: removed after the retention")
	return nil
}

// observe compares a write with the record before it.
func (w *simWorld) observe(id string, before, after *record.Record) {
	if before == nil {
		if State(after.State) == Settled {
			w.settledNow(id, after)
		}
		return
	}
	f := w.frame()
	w.observeBeats(f, before, after)
	w.observeJournal(before, after)
	sameRound := bytes.Equal(before.Secret, after.Secret)
	was, is := State(before.State), State(after.State)
	otherAct := after.Key != "" && !lifecycle.SameActivity(before, after)
	switch {
	case !sameRound && was == Closed && before.End == record.EndDelivered && !otherAct && before.Outcome.Kind != record.Failure:
		w.violate("G2", "a round begins after an outcome that ends the activity was delivered")
	case !sameRound && was != Closed && before.ResultType == after.ResultType && !otherAct && !failureIsOver(before, after):
		w.violate("G4", "the callback ID changed within a round: %v to %v", was, is)
	case !sameRound && is != Waiting:
		w.violate("G2", "a round begins as %v", is)
	case !sameRound && was == Settled && !w.arrivedOrOver(id, before, after):
		w.violate("G1", "an outcome was dropped, and nobody is told")
	case sameRound && was == Settled && is == Waiting:
		w.violate("G1", "an accepted outcome was withdrawn")
	case sameRound && was == Closed && is == Waiting:
		w.violate("G2", "a round that was over begins again under the same callback ID")
	case sameRound && was != Waiting && is != Waiting && before.Outcome.GetMark() != after.Outcome.GetMark():
		w.violate("G2", "an outcome took the place of another in its round: %v to %v", was, is)
	case sameRound && was == Closed && is == Settled && before.End == record.EndDelivered:
		w.violate("G2", "an outcome that was delivered is settled again")
	}
	if sameRound && was == Waiting && is == Settled {
		w.settledNow(id, after)
	}
	if is == Closed && was != Closed {
		w.closedNow(f, id, after)
	}
	w.checkSize(before, after)
	revived := sameRound && was == Closed && is == Settled // the activity was not over
	for _, n := range before.Notices {
		round := w.round(record.NewCallbackID(id, n.Secret).Reveal())
		switch {
		case slices.ContainsFunc(after.Notices, func(m *record.Notice) bool { return lifecycle.SameNotice(m, n) }):
		case slices.Contains(round.told, noticeName(n.Kind)):
		case lifecycle.IsSignal(n.Kind) && !lifecycle.StandsFor(after, n) && slices.Contains(round.failed, noticeName(n.Kind)):
		case revived && n.Kind == record.NoticeOver && bytes.Equal(n.Secret, after.Secret):
			round.over = false
		default:
			w.violate("G6", "a notice (%v) went away that nobody was told", n.Kind)
		}
	}
	for _, n := range after.Notices {
		if n.Kind == record.NoticeOver {
			w.round(record.NewCallbackID(id, n.Secret).Reveal()).over = true
		}
	}
	if f.beating && was == Waiting {
		w.beatRow(f, is, before, after)
		return
	}
	w.deliveryRow(f, was, is, before, after)
}

// checkSize checks that a closed entry has dropped the fields that no code
// reads again, and only those.
func (w *simWorld) checkSize(before, after *record.Record) {
	is, o := State(after.State), after.Outcome
	delivered := is == Closed && after.End == record.EndDelivered
	switch {
	case o.GetGone() && !delivered:
		w.violate("G1", "the payload of an outcome is dropped that is %v, and was not delivered (%v)", is, after.End)
	case is == Closed && len(after.TaskToken) > 0:
		w.violate("size", "a closed entry keeps its task token")
	case delivered && o.Kind != record.Failure && len(after.Details) > 0:
		w.violate("size", "an entry keeps heartbeat details that no attempt resumes from")
	case delivered && len(after.Notices) == 0 && !o.Gone:
		w.violate("size", "a delivered entry of which nothing is untold keeps its payload")
	case delivered && len(o.Fingerprint) == 0:
		w.violate("G2", "a delivered entry can't judge repeats any more")
	case o.GetGone() && !before.GetOutcome().GetGone() && len(after.Notices) == 0:
		w.hit("Closed, delivered and notified: the payload is dropped")
	}
}

func noticeName(k record.NoticeKind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "NOTICE_KIND_"))
}

// arrivedOrOver reports whether a settled outcome has reached Temporal, or a
// hook must be called for its end, when a new round replaces its round.
func (w *simWorld) arrivedOrOver(id string, before, after *record.Record) bool {
	if m := w.marks[before.Outcome.GetMark()]; m != nil && (m.accepts > 0 || w.askedAgain(m, before)) {
		return true
	}
	return slices.ContainsFunc(after.Notices, func(n *record.Notice) bool {
		return n.Kind == record.NoticeOver && bytes.Equal(n.Secret, before.Secret)
	})
}

// failureIsOver reports whether a round ended with a settled failure for which
// a hook will be called.
func failureIsOver(before, after *record.Record) bool {
	return State(before.State) == Settled && before.Outcome.Kind == record.Failure &&
		(noticed(before, after, record.NoticeDelivered, record.EndDelivered) ||
			noticed(before, after, record.NoticeOver, record.EndUnknown))
}

// noticed reports whether a hook must be called with this reason about the
// earlier round.
func noticed(before, after *record.Record, kind record.NoticeKind, why record.End) bool {
	return slices.ContainsFunc(after.Notices, func(n *record.Notice) bool {
		return n.Kind == kind && n.Reason == why && bytes.Equal(n.Secret, before.Secret)
	})
}

// askedAgain reports whether an outcome answers a request that was not needed,
// because another outcome of Latchkey had completed the activity: Temporal
// cannot distinguish the two results. There are two causes. The activity called
// Start again after another workflow had used its key. Or the first result had
// been delivered, and was then dropped because of another type, or abandoned.
func (w *simWorld) askedAgain(m *simOutcome, r *record.Record) bool {
	a := w.actOfRecord(r)
	if a == nil {
		return false
	}
	if a.run.standalone() && a.end.kind == "canceled" {
		w.hit("exception: a cancelled standalone activity doesn't tell by whom")
		m.accepts++
		return true
	}
	if !a.end.ours || a.end.actual == m.mark {
		return false
	}
	switch first := w.marks[a.end.actual]; {
	case r.Key != "":
		w.hit("exception: a finished activity asked again under its key")
	case first.typ != m.typ:
		w.hit("exception: dropped for its type, and had arrived")
	case slices.ContainsFunc(w.asks, func(ask *simAsk) bool { return ask.abandoned && ask.entry == record.EntryID(r) }):
		w.hit("exception: abandoned, and had arrived")
	default:
		return false
	}
	m.accepts++
	return true
}

// settledNow records an accepted outcome.
func (w *simWorld) settledNow(id string, r *record.Record) {
	m := &simOutcome{mark: r.Outcome.Mark, entry: id, callback: record.NewCallbackID(id, r.Secret).Reveal(), no: len(w.marks) + 1}
	o, err := outcome(r)
	if err != nil {
		w.violate("G1", "what settled can't be read: %v", err)
		return
	}
	m.says = w.says(r.ResultType, o)
	if o.Result != nil {
		m.typ = r.ResultType
	}
	if r.Early {
		m.expires = r.Delivery.Next
	}
	w.settledByVote(r, m.says)
	if w.marks[m.mark] != nil {
		w.violate("G2", "the mark of an outcome was used again")
	}
	w.marks[m.mark] = m
	round := w.round(m.callback)
	round.settled = append(round.settled, m.mark)
	if len(round.settled) > 1 {
		w.violate("G2", "%d outcomes settled for one round", len(round.settled))
	}
	f := w.frame()
	f.settled = append(f.settled, m.mark)
	if o.Canceled != nil {
		w.hit("Waiting: ReportCanceled settles")
	}
}

// says names an outcome by its content, as simSays does.
func (w *simWorld) says(typ string, o completer.Outcome) string {
	switch {
	case o.Result != nil:
		return simSays(0, typ, simValue(o.Result))
	case o.Canceled != nil:
		return simSays(3, "", simValue(o.Canceled))
	case o.Failure.GetApplicationFailureInfo().GetNonRetryable():
		return simSays(2, "", o.Failure.GetMessage())
	default:
		return simSays(1, "", o.Failure.GetMessage())
	}
}

// simValue returns the value in {"V":"…"} or "…".
func simValue(ps *commonpb.Payloads) string {
	if len(ps.GetPayloads()) == 0 {
		return ""
	}
	parts := strings.Split(string(ps.Payloads[0].GetData()), `"`)
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}

// closedNow checks that the recorded end of a closed entry is true.
func (w *simWorld) closedNow(f *simFrame, id string, r *record.Record) {
	m := w.marks[r.Outcome.GetMark()]
	a := w.actOfRecord(r)
	if a != nil && a.spoilt {
		if m != nil {
			m.accepts++ // counts an end that the processes cannot distinguish from a delivery
		}
		return
	}
	kind := record.NoticeOver
	switch r.End {
	case record.EndDelivered:
		kind = record.NoticeDelivered
		if m == nil || m.accepts == 0 && !w.askedAgain(m, r) {
			w.violate("G1", "an outcome is taken for delivered that Temporal never took")
			return
		}
		m.delivered = true
	case record.EndAbandoned:
		if f.op != "abandon" {
			w.violate("G1", "an entry was abandoned by %s", f.op)
		}
	default:
		switch {
		case r.Early && m != nil && !lifecycle.IsDue(fromNano(m.expires), fromNano(f.p.now())):
			w.violate("G1", "an early result ended before its time")
		case r.Early:
			w.hit("Settled without target, due: notified")
		case a == nil:
			w.violate("G1", "an entry without an activity was closed")
		case a.pending():
			w.violate("G1", "an entry was closed as over (%v), and its activity is pending", r.End)
		case a.buffered && !a.run.gone:
			w.violate("G1", "an entry was closed as over (%v), and how its activity ended isn't written yet", r.End)
		case m != nil && a.end.actual == m.mark && a.end.kind != "gone" && r.End != record.EndUnknown:
			w.violate("G1", "an outcome is told as lost (%v) by which the activity %s", r.End, a.end.kind)
		case r.End == record.EndUnknown && !a.run.gone:
			w.violate("G1", "an end is told as unknown that is known")
		}
	}
	if !slices.ContainsFunc(r.Notices, func(n *record.Notice) bool {
		return n.Kind == kind && bytes.Equal(n.Secret, r.Secret)
	}) {
		w.violate("G6", "an entry closed (%v) and nobody is to be told", r.End)
	}
}

// hookCalled is what each hook of a process calls.
func (w *simWorld) hookCalled(p *simProc, c Callback, what string, why error) error {
	if p.dead {
		return errSimCrashed
	}
	r := w.round(c.ID())
	now := w.records[c.entry.id]
	if what == "delivered" && !slices.Contains(r.told, what) && now != nil && State(now.State) == Closed && record.NewCallbackID(c.entry.id, now.Secret).Reveal() == c.ID() && now.Outcome.Gone {
		w.violate("G6", "the Delivered hook can't read the outcome any more")
	}
	if !w.calm && w.rng.chance(100) {
		r.failed = append(r.failed, what)
		return errors.New("the hook failed")
	}
	w.logf("%s: told: %s is %s: %v", p.name, shortID(c.ID()), what, why)
	w.shownError("a hook's reason", why)
	r.told = append(r.told, what)
	return nil
}

// simStarted is a Start that has returned.
type simStarted struct {
	at       *simAttempt
	f        *simFrame
	entry    string
	before   *record.Record
	asked    string // the callback ID that its function got
	others   int    // how often the function had run before
	current  bool   // the attempt was Temporal's current one when Start began
	err      error
	panicked bool
}

func (w *simWorld) checkStart(s simStarted) {
	r := w.records[s.entry]
	w.checkWait(s, r)
	if s.err != activity.ErrResultPending {
		if errors.Is(s.err, activity.ErrResultPending) {
			w.violate("Start", "activity.ErrResultPending is wrapped")
		}
		w.startRow(s, r)
		return
	}
	mine := r != nil && !(r.Key != "" && w.actOfRecord(r) != s.at.act)
	runs := s.at == s.at.act.cur
	if s.asked == "" && s.at.ran == 0 && mine && runs && State(r.State) == Waiting && r.HandedOffStarted != r.Started && r.Started <= s.at.started.UnixNano() {
		w.violate("G8", "Start returned ErrResultPending, and nobody was ever asked")
	}
	if !s.f.rough && mine && runs && State(r.State) != Closed && string(r.TaskToken) != s.at.token {
		w.violate("G4", "the attempt that runs called Start, and the entry has another token")
	}
	if b := s.before; b != nil && !s.f.rough && mine && b.State == record.Waiting && b.Started == r.Started && len(b.TaskToken) == 0 && string(r.TaskToken) == s.at.token {
		w.hit("Waiting, adopted by its IDs, same Start: brings the token")
	}
	w.startRow(s, r)
}
