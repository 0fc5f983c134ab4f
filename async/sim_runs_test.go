package async

import (
	"context"
	"errors"
	"slices"
	"time"
)

// opEndRun ends a run. A workflow that continues as new gets another run.
func (w *simWorld) opEndRun() {
	w.endRun(w.runs[w.rng.n(len(w.runs))])
}

func (w *simWorld) endRun(r *simRun) {
	if !r.open() {
		return
	}
	w.terminate(r)
	next := w.newRun(r.workflow)
	if r.standalone() || w.rng.chance(700) {
		w.schedule(next)
	}
}

func (w *simWorld) opForget() {
	r := w.runs[w.rng.n(len(w.runs))]
	if !r.open() {
		r.gone = true
	}
}

// opResetWorkflow resets a workflow: another run begins with the events of an
// earlier run up to a certain workflow task. An activity that was pending at
// that point is pending again, with its old scheduled time. An open run is
// terminated.
func (w *simWorld) opResetWorkflow() { w.resetWorkflow(w.runs[w.rng.n(len(w.runs))]) }

func (w *simWorld) resetWorkflow(base *simRun) {
	if base.standalone() || base.gone {
		return
	}
	var carried []*simAct
	for i, a := range base.acts {
		again := slices.ContainsFunc(base.acts[i+1:], func(b *simAct) bool { return b.id == a.id })
		// An activity that has closed may have closed after that point.
		if !again && (a.pending() || w.rng.chance(700)) {
			carried = append(carried, a)
		}
	}
	if len(carried) == 0 {
		return
	}
	for _, r := range w.runs {
		if r.workflow == base.workflow && r.open() {
			w.terminate(r)
		}
	}
	next := w.newRun(base.workflow)
	for _, a := range carried {
		w.seq++
		now := time.Now()
		b := &simAct{
			run: next, seq: w.seq, id: a.id, typ: a.typ, num: 1, scheduled: a.scheduled, carried: true,
			backoff: now, max: a.max, timeout: a.timeout, expires: now.Add(a.expires.Sub(a.scheduled)),
			beats: a.beats, options: a.options,
		}
		next.acts = append(next.acts, b)
		w.logf("temporal: the workflow is reset: %v is %v", b, a)
	}
}

// opAnswerAndGoOn makes the external system answer the last request during many
// faults. The workflow continues before any process has checked what happened
// to the answer.
func (w *simWorld) opAnswerAndGoOn() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	r := ask.act.run
	r.task = r.task || r.open() && !r.standalone() && w.rng.chance(600)
	rates := w.rates
	w.rates.fault = 400
	w.answer(w.proc(), ask)
	w.rates = rates
	switch w.rng.n(7) {
	case 0:
		w.endRun(r)
	case 1:
		w.endRun(r)
		r.gone = true
	case 2, 3:
		w.resetWorkflow(r)
	default:
		for range 3 { // under the other ID, in addition to a buffered one
			if r.open() && !r.standalone() {
				w.schedule(r)
			}
		}
	}
	for _, r := range w.runs {
		if len(r.acts) == 0 || r.workflow != ask.act.run.workflow {
			continue
		}
		if a := r.acts[len(r.acts)-1]; a.canPoll() {
			at := w.poll(a)
			w.attempts = append(w.attempts, at)
			w.start(at)
		}
	}
}

// opFailUnheard makes the external system fail an attempt, and loses the reply.
// Usually more attempts fail, of which no process learns, before an attempt
// calls Start.
func (w *simWorld) opFailUnheard() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	a, p := ask.act, w.worker()
	if !a.pending() || a.cur == nil || a.paused {
		return
	}
	f := w.push("answer", p)
	f.losesReplies = true
	v := simSecret + "1"
	ask.offered[simSays(1, "", v)] = true
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		err = c.Fail(context.Background(), errors.New(v))
	}
	w.logf("%s: Fail: %v", p.name, err)
	if !p.dead {
		w.checkAnswer(f, ask, simSays(1, "", v), err)
	}
	w.pop()
	for range w.rng.n(3) {
		w.untilBackoff(a)
		if a.canPoll() {
			w.poll(a)
			w.failAttempt(a, true, "", "")
		}
	}
	w.untilBackoff(a)
	if a.canPoll() {
		at := w.poll(a)
		w.attempts = append(w.attempts, at)
		w.start(at)
	}
}

func (w *simWorld) untilBackoff(a *simAct) {
	if d := time.Until(a.backoff); a.cur == nil && d > 0 {
		w.sleep(d)
	}
}

// opAnsweredElsewhere makes another client complete an activity without
// Latchkey. A workflow task may be running, and a hub may meet the buffered
// event.
func (w *simWorld) opAnsweredElsewhere() {
	a := w.activities(func(a *simAct) bool { return a.pending() && a.cur != nil })
	if a == nil {
		return
	}
	a.run.task = a.run.task || !a.run.standalone() && w.rng.chance(500)
	w.close(a, simEnd{kind: "completed"})
	if a.buffered && w.rng.chance(500) {
		w.sleep(simBeats)
		w.tick()
		w.opWork()
	}
}
