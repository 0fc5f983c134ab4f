package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"go.temporal.io/sdk/activity"
)

// simA and simB are the two result types of the simulation.
type (
	simA struct{ V string }
	simB struct{ V string }
)

func (simA) ResultType() string { return "A" }
func (simB) ResultType() string { return "B" }

// simOp is an operation of a history, with its frequency.
type simOp struct {
	name   string
	weight int
	do     func(w *simWorld)
}

// simOps are the operations of a history.
func simOps() []simOp {
	return []simOp{
		{name: "poll and start", weight: 14, do: (*simWorld).opPollStart},
		{name: "poll", weight: 3, do: (*simWorld).opPoll},
		{name: "start", weight: 8, do: (*simWorld).opStart},
		{name: "answer", weight: 18, do: (*simWorld).opAnswer},
		{name: "answer and go on", weight: 3, do: (*simWorld).opAnswerAndGoOn},
		{name: "answer by key", weight: 2, do: (*simWorld).opAnswerKey},
		{name: "work", weight: 16, do: (*simWorld).opWork},
		{name: "pass", weight: 13, do: (*simWorld).opPass},
		{name: "attempt times out", weight: 4, do: (*simWorld).opTimeOut},
		{name: "worker fails the attempt", weight: 2, do: (*simWorld).opWorkerFails},
		{name: "reset", weight: 4, do: (*simWorld).opReset},
		{name: "pause", weight: 2, do: (*simWorld).opPause},
		{name: "cancel", weight: 3, do: (*simWorld).opCancel},
		{name: "workflow task", weight: 6, do: (*simWorld).opTask},
		{name: "end of a run", weight: 1, do: (*simWorld).opEndRun},
		{name: "history goes", weight: 1, do: (*simWorld).opForget},
		{name: "server", weight: 2, do: (*simWorld).opServer},
		{name: "heartbeat", weight: 8, do: (*simWorld).opHeartbeat},
		{name: "remember", weight: 2, do: (*simWorld).opRemember},
		{name: "abandon", weight: 1, do: (*simWorld).opAbandon},
		{name: "late", weight: 4, do: (*simWorld).opLate},
		{name: "crash", weight: 1, do: (*simWorld).opCrash},
		{name: "redeploy", weight: 1, do: (*simWorld).opRedeploy},
		{name: "other workflow", weight: 1, do: (*simWorld).opOtherWorkflow},
		{name: "write down", weight: 8, do: (*simWorld).opWriteDown},
		{name: "deliver for a caller", weight: 8, do: (*simWorld).opCarry},
		{name: "refuse a hub", weight: 2, do: (*simWorld).opRefuse},
		{name: "workflow reset", weight: 1, do: (*simWorld).opResetWorkflow},
		{name: "answered elsewhere", weight: 2, do: (*simWorld).opAnsweredElsewhere},
		{name: "fail unheard", weight: 1, do: (*simWorld).opFailUnheard},
		{name: "retry", weight: 3, do: (*simWorld).opRetry},
		{name: "note", weight: 4, do: (*simWorld).opNote},
		{name: "decide", weight: 6, do: (*simWorld).opDecide},
		{name: "refresh", weight: 2, do: (*simWorld).opRefresh},
		{name: "adopt", weight: 3, do: (*simWorld).opAdopt},
	}
}

// act runs one operation, drawn from the current random sequence.
func (w *simWorld) act() {
	if w.wrong != "" {
		return
	}
	w.tick()
	o := w.ops[w.rng.pick(w.weights)]
	w.logf("- %s", o.name)
	o.do(w)
}

// newRun begins a run of a workflow.
func (w *simWorld) newRun(workflow string) *simRun {
	r := &simRun{workflow: workflow, run: fmt.Sprintf("run%d", len(w.runs)+1)}
	w.runs = append(w.runs, r)
	return r
}

// schedule makes a run schedule an activity, mostly one after the other. No
// activity ID is pending twice at once.
func (w *simWorld) schedule(r *simRun) {
	id := []string{"approve", "approve", "other"}[w.rng.n(3)]
	for _, a := range r.acts {
		if (a.pending() || a.buffered) && (a.id == id || !w.rng.chance(100+w.keyed/3)) {
			return
		}
	}
	w.sleep(time.Microsecond)
	w.seq++
	a := &simAct{
		run: r, seq: w.seq, id: id, typ: "A", num: 1,
		scheduled: time.Now(), backoff: time.Now(), max: int32(2 + w.rng.n(6)),
		timeout: []time.Duration{20 * time.Second, 5 * time.Minute, time.Hour}[w.rng.n(3)],
		expires: time.Now().Add([]time.Duration{10 * time.Minute, 12 * time.Hour}[w.rng.n(2)]),
	}
	if w.rng.chance(300) {
		a.beats = []time.Duration{20 * time.Second, 2 * time.Minute}[w.rng.n(2)]
	}
	if w.rng.n(8) == 0 {
		a.options.Once = true
	}
	if r.workflow == "w2" || r.workflow == "w1" && w.rng.chance(w.keyed) {
		a.options.Key = "order-7"
	}
	if w.rng.chance(150) {
		a.options.Pump, a.timeout, a.beats = simSilent, 40*24*time.Hour, 0
	}
	r.acts = append(r.acts, a)
	w.logf("temporal: %v is scheduled, %+v, %d attempts of %v", a, a.options, a.max, a.timeout)
}

func (w *simWorld) activities(fits func(a *simAct) bool) *simAct {
	var all []*simAct
	for _, r := range w.runs {
		for _, a := range r.acts {
			if fits(a) {
				all = append(all, a)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.n(len(all))]
}

func (w *simWorld) opPoll() {
	a := w.activities(func(a *simAct) bool { return a.pending() && a.cur == nil && !a.paused })
	if a == nil {
		return
	}
	if d := time.Until(a.backoff); d > 0 {
		w.sleep(d)
		w.tick()
	}
	if a.canPoll() {
		w.attempts = append(w.attempts, w.poll(a))
	}
}

func (w *simWorld) opPollStart() {
	n := len(w.attempts)
	w.opPoll()
	if len(w.attempts) > n {
		w.start(w.attempts[n])
	}
}

// opStart makes a worker begin a dispatched attempt, or begin it again.
func (w *simWorld) opStart() {
	n := len(w.attempts)
	if n == 0 {
		return
	}
	at := w.attempts[n-min(n, 1+w.rng.n(3))]
	// A worker that is slower than the retention would find no entry: this is
	// the purpose of the retention.
	if at == at.act.cur || time.Since(at.started) < simRetention-5*time.Minute {
		w.start(at)
	}
}

func (w *simWorld) start(at *simAttempt) {
	p := w.proc()
	if w.calm {
		p = w.worker() // an attempt may end before other hubs do the work of a hub without a completer
	}
	f := w.push("start", p)
	defer w.pop()
	w.logf("%s: Start of attempt %d of %v, which awaits %s (skew %v)", p.name, at.num, at.act, at.typ, p.skew)
	at.calls++
	leave := w.leaveStore(f, at)
	defer func() { p.storeAway = time.Time{} }()
	info := at.info(p.skew)
	if w.broken.started != nil {
		info.StartedTime = w.broken.started(at)
	}
	r := recordOf(info, at.act.options, at.typ)
	id := record.EntryID(r)
	before := w.records[id]
	if w.broken.number != nil {
		info.Attempt = w.broken.number(at, before)
	}
	if w.broken.start != nil && w.broken.start(w, at, before) {
		return
	}
	s := simStarted{at: at, f: f, entry: id, before: before, others: at.ran, current: at == at.act.cur && at.act.pending()}
	func() {
		defer func() {
			if v := recover(); v != nil {
				if _, ours := v.(simPanic); !ours {
					panic(v)
				}
				s.err, s.panicked = errors.New("panicked"), true
			}
		}()
		s.err = p.hub.starter.startActivity(context.Background(), info, at.act.options, at.typ, func(ctx context.Context, c Callback) error {
			s.asked = c.ID()
			leave()
			err := w.ask(ctx, f, at, c)
			at.returned = at.returned || err == nil
			return err
		})
	}()
	if w.broken.result != nil {
		s.err = w.broken.result(s.err)
	}
	if p.dead {
		return // the worker dies too, so nothing is reported
	}
	w.logf("%s: Start returns %v", p.name, s.err)
	w.shownError("Start", s.err)
	w.checkStart(s)
	if s.err == activity.ErrResultPending || w.rng.chance(100) {
		return
	}
	// The worker reports the error as the attempt's failure.
	if a := w.byToken(at.token); a != nil {
		w.failAttempt(a, !w.rng.chance(100), "", "")
	}
}

type simPanic struct{}

// ask is the activity's function.
func (w *simWorld) ask(ctx context.Context, f *simFrame, at *simAttempt, c Callback) error {
	at.ran++
	id := c.ID()
	if w.broken.asked != nil {
		id = w.broken.asked(w, id)
	}
	w.logf("%s: the function asks with %s", f.p.name, shortID(id))
	ask := w.askOf(id, c, at)
	if w.calm {
		return nil
	}
	beat := w.handOffBeats(at, c)
	if err := w.edge(); err != nil {
		return err
	}
	beat()
	if w.rng.chance(100) {
		f.rough = true
		if err := c.Remember(ctx, "job-1"); err != nil {
			return err
		}
	}
	if w.rng.chance(50) {
		f.rough = true
		if err := c.Note(ctx, simNoteOf("posted", 0)); err != nil {
			return err
		}
	}
	if w.rng.chance(120) {
		f.rough = true
		w.answer(w.proc(), ask)
	}
	if w.rng.chance(200) {
		w.recordDetails(at)
	}
	beat()
	if w.rng.chance(60) {
		f.rough = true
		w.heartbeatFrom(ask)
		beat()
	}
	if err := w.edge(); err != nil {
		return err
	}
	switch {
	case w.rng.chance(80):
		return errors.New("the function failed")
	case w.rng.chance(30):
		panic(simPanic{})
	}
	return nil
}

// askOf returns the external system's knowledge of a callback.
func (w *simWorld) askOf(id string, c Callback, at *simAttempt) *simAsk {
	ask := w.byCall[id]
	if ask == nil {
		ask = &simAsk{id: id, entry: c.entry.id, act: at.act, no: len(w.asks), acked: make(map[string]bool), offered: make(map[string]bool)}
		w.byCall[id] = ask
		w.asks = append(w.asks, ask)
	}
	ask.typ = at.typ
	return ask
}

func (w *simWorld) opWork() { w.work(w.worker()) }

// work does the due work one entry after the other, as Hub.Work does.
func (w *simWorld) work(p *simProc) (n int) {
	f := w.push("work", p)
	defer w.pop()
	ctx := context.Background()
	now := time.Now()
	until := now.Add(p.hub.settings.claimTime)
	entries, err := p.hub.entries.store.Claim(ctx, now, until, 1+w.rng.n(3))
	if err != nil {
		return 0
	}
	for _, stored := range entries {
		w.logf("%s: tends %s", p.name, shortID(stored.ID))
		f.calls = nil
		if w.left(p, read(stored), until) {
			continue
		}
		e, next := p.hub.runner.tend(ctx, read(stored))
		if next == pumpNext {
			e, next = w.beat(f, e)
		}
		if next == hooksNext {
			p.hub.notifier.notify(ctx, e)
		}
	}
	return len(entries)
}
