package async

import (
	"time"
)

func (w *simWorld) opPass() {
	d := []time.Duration{
		100 * time.Millisecond, time.Second, 3 * time.Second, 6 * time.Second, 11 * time.Second, 25 * time.Second,
		time.Minute, 6 * time.Minute, 30 * time.Minute, 3 * time.Hour,
	}[w.rng.pick([]int{10, 20, 20, 20, 20, 15, 10, 6, 3, 2})]
	w.logf("%v passes", d)
	w.sleep(d + time.Microsecond) // the extra time ensures that no timeout ends exactly when the sleep ends
	w.tick()
}

func (w *simWorld) opTimeOut() {
	if a := w.activities(func(a *simAct) bool { return a.pending() && a.cur != nil }); a != nil {
		w.timeOut(a) // heartbeats are missing
	}
}

func (w *simWorld) opWorkerFails() {
	if a := w.activities(func(a *simAct) bool { return a.pending() && a.cur != nil && a.cur.calls == 0 }); a != nil {
		w.failAttempt(a, true, "", "")
	}
}

func (w *simWorld) opReset() {
	if a := w.activities((*simAct).pending); a != nil {
		w.reset(a)
	}
}

func (w *simWorld) opPause() {
	if a := w.activities((*simAct).pending); a != nil {
		a.paused = !a.paused
		w.logf("temporal: %v: paused: %t", a, a.paused)
	}
}

func (w *simWorld) opCancel() {
	if a := w.activities(func(a *simAct) bool { return a.pending() && !a.cancelRequested }); a != nil {
		w.requestCancel(a)
	}
}

// opTask begins or ends a workflow task. A task that ends may schedule another
// activity.
func (w *simWorld) opTask() {
	r := w.runs[w.rng.n(len(w.runs))]
	switch {
	case !r.open():
	case r.standalone():
		if !r.acts[0].pending() {
			w.terminate(r)
			w.schedule(w.newRun(""))
		}
	case !r.task && w.rng.chance(500):
		r.task = true
	default:
		w.endTask(r)
		w.schedule(r)
	}
}

func (w *simWorld) opServer() {
	switch w.rng.n(4) {
	case 0:
		w.away = true
	case 1:
		w.refusing = true
	default:
		w.away, w.refusing = false, false
	}
	w.logf("temporal: away: %t, refusing: %t", w.away, w.refusing)
}

// simLate is a write that takes effect after its caller has given up.
type simLate struct {
	sent time.Time
	land func()
}

// simTransit is the longest time that a write can be in transit, as on a
// connection that has lost its peer. simTransit is shorter than the retention,
// so that a late write does not create a removed entry again.
const simTransit = 15 * time.Minute

func (w *simWorld) opLate() {
	if len(w.late) == 0 {
		return
	}
	late := w.late[0]
	w.late = w.late[1:]
	if time.Since(late.sent) > simTransit {
		w.logf("what was on its way is lost")
		return
	}
	w.logf("what was on its way arrives")
	w.landing = true
	late.land()
	w.landing = false
}

func (w *simWorld) opCrash() { w.procs[w.rng.n(len(w.procs))].crash() }

// opRedeploy changes the type that the activities' code awaits, from the next
// attempt on.
func (w *simWorld) opRedeploy() {
	if a := w.activities((*simAct).pending); a != nil {
		a.typ = map[string]string{"A": "B", "B": "A"}[a.typ]
	}
}

func (w *simWorld) opOtherWorkflow() {
	if w.rng.chance(300) {
		w.schedule(w.newRun(""))
		return
	}
	for _, r := range w.runs {
		if r.workflow == "w2" && r.open() {
			w.schedule(r)
			return
		}
	}
	w.schedule(w.newRun("w2"))
}
