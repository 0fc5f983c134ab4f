package async

import (
	"bytes"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/async/completer"
)

// sent checks the arguments of a call of Complete.
func (w *simWorld) sent(f *simFrame, t completer.Target, o completer.Outcome) {
	if t.TaskToken != nil {
		for _, read := range f.reads {
			if r := read.rec; r != nil && r.RunId == t.RunID && r.ActivityId == t.ActivityID && r.Scheduled == t.Scheduled.UnixNano() &&
				!bytes.Equal(r.TaskToken, t.TaskToken) {
				w.violate("G5", "a token was used that isn't the one in the entry")
			}
		}
	}
	if a := w.actOf(t); a != nil && o.Result != nil {
		if at, m := a.attemptOf(t.Started), w.marks[o.Mark]; at != nil && m != nil && at.typ != m.typ {
			w.violate("G3", "a result of type %s was sent to an attempt that awaits %s", m.typ, at.typ)
		}
	}
}

// accepted checks an outcome that Temporal accepts for the activity a.
func (w *simWorld) accepted(f *simFrame, t completer.Target, o completer.Outcome, a *simAct) {
	m := w.marks[o.Mark]
	if m == nil {
		w.violate("G2", "an outcome was sent that never settled")
		return
	}
	if says := w.says(m.typ, o); says != m.says {
		w.violate("G2", "%q was sent for %q", says, m.says)
	}
	w.checkPassedOn(f, t, m, a)
	if t.TaskToken == nil && w.inTheGap(f, t, o, a) || w.tooLate(t, m, a) {
		a.spoilt = true
		m.accepts++
		m.first = a
		return
	}
	w.count(m, a)
}

// tooLate reports whether a running call reached the wrong activity or attempt
// after the entry had changed. A call that has reached the wrong activity
// cannot be recalled, and a call by ID has no protection. A call by token has
// none if a reset has given the attempt's number to another attempt. The
// documentation describes both gaps.
func (w *simWorld) tooLate(t completer.Target, m *simOutcome, a *simAct) bool {
	r := w.records[m.entry]
	goneOn := w.landing || r == nil || State(r.State) != Settled || r.Outcome.Mark != m.mark
	if !goneOn || a.cur != nil && a.cur.started.Equal(t.Started) {
		return false
	}
	if t.TaskToken == nil {
		w.hit("exception: a call by ID under way when the entry went on")
	} else {
		w.hit("exception: a reset revived the token of a call under way")
	}
	return true
}

// inTheGap checks that a call by ID reached the intended activity. inTheGap
// reports whether the activity changed between the check and the call, which is
// a documented gap.
func (w *simWorld) inTheGap(f *simFrame, t completer.Target, o completer.Outcome, a *simAct) bool {
	meant := w.actOf(t)
	if meant == nil {
		w.violate("G2", "an outcome was sent to an activity that never was")
		return false
	}
	for _, look := range f.looks {
		if look.act == meant && look.epoch != meant.epoch {
			w.hit("exception: moved on between the look and the call by ID")
			return true
		}
	}
	switch {
	case a != meant:
		w.violate("G2", "the outcome of %v ended %v", meant, a)
	case o.Result == nil && (a.cur == nil || !a.cur.started.Equal(t.Started)):
		w.violate("G2", "a failure by ID met another attempt than it was meant for")
	}
	return false
}

// count counts an outcome that Temporal has accepted, from Latchkey or from a
// worker.
func (w *simWorld) count(m *simOutcome, a *simAct) {
	m.accepts++
	if m.accepts > 1 {
		// A reset can number a later attempt as if it were the next one, and
		// none of Latchkey's processes saw the attempts in between. This is
		// documented.
		if m.delivered || a != m.first || a.resets == m.resets || !strings.HasPrefix(m.says, "failure") {
			w.violate("G2", "%q was taken twice: by %v and by %v", m.says, m.first, a)
			return
		}
		w.hit("exception: a reset hid the attempts between")
	}
	m.first, m.resets = a, a.resets
	r := w.round(m.callback)
	if !slices.Contains(r.accepted, m.mark) {
		r.accepted = append(r.accepted, m.mark)
	}
	if len(r.accepted) > 1 {
		w.violate("G2", "Temporal took %d outcomes for one round", len(r.accepted))
	}
}
