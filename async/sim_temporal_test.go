package async

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async/completer"
)

// simNamespace is the only namespace of the simulation.
const simNamespace = "sim"

// simRun is a run of a workflow in the simulated Temporal server. For a
// standalone activity, it has no workflow but has a run ID.
type simRun struct {
	workflow, run string
	task          bool // a workflow task is running: close events are buffered until it ends
	closed        bool
	gone          bool // the server has removed its history
	acts          []*simAct
}

// simAct is an activity as Temporal stores it.
type simAct struct {
	run       *simRun
	seq       int
	id        string
	scheduled time.Time
	options   StartOptions
	typ       string // the type that its code awaits now

	num      int32 // number of the running attempt, or of the next one if none runs
	cur      *simAttempt
	attempts []*simAttempt
	backoff  time.Time
	max      int32
	timeout  time.Duration // start to close
	expires  time.Time     // schedule to close

	paused, cancelRequested bool
	lastMark                string // the mark in the last failure
	lastTrue                string // the mark of the outcome that really ended the previous attempt

	beats    time.Duration // heartbeat timeout; zero: none
	details  string        // details of the last heartbeat
	lastBeat time.Time
	beatBy   *simFrame // the operation that sent the last heartbeat
	muddled  bool      // heartbeats may have arrived in another order than they were sent

	resetting bool // the running attempt is the last one before a reset
	resets    int
	carried   bool // a workflow reset carried the activity into this run

	closed   bool
	buffered bool
	end      simEnd
	spoilt   bool // an unprotected call reached this activity: see tooLate
	epoch    int  // counts the changes that matter between a check and a call
}

// simEnd is the end of an activity.
type simEnd struct {
	kind    string // "completed", "failed", "canceled", "timed out", or "gone" with its workflow
	ours    bool
	mark    string // the mark of the closing failure
	retried string // the mark of the failure before the last attempt
	actual  string // the mark of Latchkey's outcome that closed the activity, whichever process sent it
}

// simAttempt is one attempt of an activity.
type simAttempt struct {
	act      *simAct
	num      int32
	started  time.Time
	deadline time.Time
	token    string
	typ      string
	ran      int  // how often its function has run
	returned bool // its function has returned nil, at least once
	lost     int  // the write in which a hub recorded that Temporal no longer accepts the token
	forgot   int  // the write after which the entry belonged to another attempt, or 0
	calls    int  // how often Start was called
}

func (r *simRun) open() bool { return !r.closed }

func (r *simRun) standalone() bool { return r.workflow == "" }

// named reports whether a target names the run.
func (r *simRun) named(t completer.Target) bool {
	if r.standalone() {
		return t.Standalone() && r.run == t.ActivityRunID
	}
	return r.workflow == t.WorkflowID && r.run == t.RunID
}

func (a *simAct) pending() bool { return !a.closed && a.run.open() }

// poll dispatches the next attempt to a worker.
func (w *simWorld) poll(a *simAct) *simAttempt {
	w.sleep(time.Microsecond) // no two attempts start at the same time
	now := time.Now()
	at := &simAttempt{
		act: a, num: a.num, started: now, deadline: now.Add(a.timeout), typ: a.typ,
		// A token contains the number of the attempt, and nothing else
		// distinguishes attempts. After a reset, an old token is valid again.
		token: a.token(),
	}
	a.cur, a.resetting = at, false
	a.attempts = append(a.attempts, at)
	a.epoch++
	w.logf("temporal: %v: attempt %d (started %s)", a, at.num, simTime(now))
	return at
}

// token returns the token of the attempt with the current number.
func (a *simAct) token() string { return fmt.Sprintf(simToken+"%d.%d", a.seq, a.num) }

func (a *simAct) canPoll() bool {
	return a.pending() && a.cur == nil && !a.paused && !time.Now().Before(a.backoff)
}

// tick makes the server's timers fire.
func (w *simWorld) tick() {
	now := time.Now()
	for _, r := range w.runs {
		for _, a := range r.acts {
			switch {
			case !a.pending() || a.paused:
			case !now.Before(a.expires):
				// The close event has the last failure as its cause.
				w.close(a, simEnd{kind: "timed out", mark: a.lastMark})
			case a.cur != nil && !now.Before(a.cur.deadline):
				w.timeOut(a)
			case a.cur != nil && a.beats > 0 && !w.calm && now.Sub(a.cur.started) >= a.beats && now.Sub(a.lastBeat) >= a.beats:
				w.timeOut(a)
			}
		}
	}
}

// timeOut ends the running attempt with a timeout. The timeout's failure
// replaces the last failure.
func (w *simWorld) timeOut(a *simAct) {
	w.logf("temporal: %v: attempt times out", a)
	if a.num >= a.max {
		w.close(a, simEnd{kind: "timed out"})
		return
	}
	w.retry(a, "", "")
}

// retry ends the running attempt, and schedules another one.
func (w *simWorld) retry(a *simAct, mark, actual string) {
	a.cur = nil
	a.num++
	a.lastMark, a.lastTrue = mark, actual
	a.backoff = time.Now().Add(time.Duration(1+a.num) * time.Second)
	a.epoch++
}

func (w *simWorld) close(a *simAct, end simEnd) {
	end.retried = a.lastMark
	if end.actual == "" {
		end.actual = a.lastTrue
	}
	a.closed, a.buffered, a.end, a.cur = true, a.run.task, end, nil
	a.epoch++
	w.logf("temporal: %v: closed, %s (buffered: %t)", a, end.kind, a.buffered)
}

// failAttempt fails the running attempt.
func (w *simWorld) failAttempt(a *simAct, retryable bool, mark, actual string) {
	w.logf("temporal: %v: attempt %d fails (%s)", a, a.num, w.nameOf(mark))
	if retryable && a.num < a.max {
		w.retry(a, mark, actual)
		return
	}
	w.close(a, simEnd{kind: "failed", mark: mark, actual: actual})
}

// reset sets the numbers of the attempts back. A running attempt continues
// under a new number, which its token does not have.
func (w *simWorld) reset(a *simAct) {
	a.num = 1
	a.resets++
	if a.cur == nil {
		a.backoff = time.Now()
	} else {
		a.resetting = true
	}
	a.epoch++
	w.logf("temporal: %v: reset", a)
}

func (w *simWorld) requestCancel(a *simAct) {
	w.logf("temporal: %v: cancel requested", a)
	a.epoch++
	if a.cur == nil {
		w.close(a, simEnd{kind: "canceled"}) // the server itself cancels the activity
		return
	}
	a.cancelRequested = true
}

// endTask ends a workflow task. Buffered events are then written.
func (w *simWorld) endTask(r *simRun) {
	r.task = false
	for _, a := range r.acts {
		a.buffered = false
	}
}

// terminate ends a run and its activities, without events for the activities.
func (w *simWorld) terminate(r *simRun) {
	w.logf("temporal: %s/%s ends", r.workflow, r.run)
	w.endTask(r)
	r.closed = true
	for _, a := range r.acts {
		if !a.closed {
			a.closed, a.cur = true, nil
			// The terminated run still lists the activity, with its last
			// failure.
			a.end = simEnd{kind: "gone", actual: a.lastTrue, retried: a.lastMark}
		}
		a.epoch++
	}
}

// byToken returns the activity whose running attempt has this token.
func (w *simWorld) byToken(token string) *simAct {
	for _, r := range w.runs {
		for _, a := range r.acts {
			if a.pending() && a.cur != nil && token == a.token() {
				return a
			}
		}
	}
	return nil
}

// byID returns the activity that is pending under the ID, whichever it is.
func (w *simWorld) byID(t completer.Target) *simAct {
	for _, r := range w.runs {
		if !r.named(t) {
			continue
		}
		for _, a := range r.acts {
			if a.pending() && a.id == t.ActivityID {
				return a
			}
		}
	}
	return nil
}

// actOf returns the activity that the target identifies by its scheduled time.
func (w *simWorld) actOf(t completer.Target) *simAct {
	for _, r := range w.runs {
		if !r.named(t) {
			continue
		}
		for _, a := range r.acts {
			if a.id == t.ActivityID && a.scheduled.Equal(t.Scheduled) {
				return a
			}
		}
	}
	return nil
}

// attemptOf returns the attempt that the target identifies by its start.
func (a *simAct) attemptOf(started time.Time) *simAttempt {
	for _, at := range a.attempts {
		if at.started.Equal(started) {
			return at
		}
	}
	return nil
}

// complete implements the server's side of Completer.Complete.
func (w *simWorld) complete(f *simFrame, t completer.Target, o completer.Outcome) error {
	var a *simAct
	if t.TaskToken != nil {
		a = w.byToken(string(t.TaskToken))
	} else if a = w.byID(t); a != nil && o.Result == nil && a.cur == nil {
		a = nil // only a result is accepted while no attempt runs
	}
	if a == nil {
		return completer.ErrOver
	}
	if o.Canceled != nil && !a.cancelRequested {
		return completer.ErrCancelNotRequested
	}
	w.accepted(f, t, o, a)
	switch {
	case o.Result != nil:
		w.close(a, simEnd{kind: "completed", ours: true, actual: o.Mark})
	case o.Canceled != nil:
		w.close(a, simEnd{kind: "canceled", ours: true, actual: o.Mark})
	default:
		w.failAttempt(a, !o.Failure.GetApplicationFailureInfo().GetNonRetryable(), completer.FailureMark(o.Failure), o.Mark)
	}
	return nil
}

// describe implements the server's side of Completer.Describe.
func (w *simWorld) describe(t completer.Target, mark string) completer.Status {
	a := w.actOf(t)
	if a == nil || a.run.gone {
		return completer.Status{End: completer.EndUnknown}
	}
	if a.pending() {
		s := completer.Status{
			Pending: true, Running: a.cur != nil, CancelRequested: a.cancelRequested, Paused: a.paused,
			LastMark: a.lastMark, Details: simPayloads(a.details), LastHeartbeat: a.lastBeat,
		}
		if a.cur != nil {
			s.Started = a.cur.started
		}
		return s
	}
	if a.buffered {
		return completer.Status{End: completer.EndBuffered}
	}
	return completer.Status{End: a.end.evidence(mark, a.run.standalone())}
}

// evidence judges a close event as describer.evidence does. The server does not
// report which client cancelled a standalone activity.
func (e simEnd) evidence(mark string, standalone bool) completer.End {
	byKind := func(kind string) completer.End {
		if mark != "" && mark[:1] == kind && (e.ours || standalone && kind == "c") {
			return completer.EndOurs
		}
		return completer.EndOther
	}
	switch {
	case mark != "" && (e.retried == mark || e.mark == mark):
		return completer.EndOurs
	case e.kind == "gone":
		return completer.EndOther
	case e.kind == "completed":
		return byKind("r")
	case e.kind == "canceled":
		return byKind("c")
	case e.kind == "timed out":
		return completer.EndTimedOut
	default:
		return completer.EndOther
	}
}

// info returns the SDK's description of an attempt for its function, by the
// clock of a process that is fast by skew.
func (at *simAttempt) info(skew time.Duration) activity.Info {
	a := at.act
	i := activity.Info{
		TaskToken:         []byte(at.token),
		WorkflowType:      &workflow.Type{Name: "Simulated"},
		WorkflowExecution: workflow.Execution{ID: a.run.workflow, RunID: a.run.run},
		ActivityID:        a.id,
		ActivityType:      activity.Type{Name: "Ask"},
		TaskQueue:         "sim",
		Namespace:         simNamespace,
		ScheduledTime:     a.scheduled,
		StartedTime:       at.started,
		Deadline:          at.deadline.Add(-skew),
		Attempt:           at.num,
	}
	if a.run.standalone() {
		i.WorkflowType, i.WorkflowExecution, i.ActivityRunID = nil, workflow.Execution{}, a.run.run
	}
	return i
}

func (a *simAct) String() string {
	return fmt.Sprintf("%s/%s/%s#%d", a.run.workflow, a.run.run, a.id, a.seq)
}

// simTime formats a time of the simulation, which begins at 0.
func simTime(t time.Time) string {
	return t.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).String()
}
