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
		{"poll and start", 14, (*simWorld).opPollStart},
		{"poll", 3, (*simWorld).opPoll},
		{"start", 8, (*simWorld).opStart},
		{"answer", 18, (*simWorld).opAnswer},
		{"answer and go on", 3, (*simWorld).opAnswerAndGoOn},
		{"answer by key", 2, (*simWorld).opAnswerKey},
		{"work", 16, (*simWorld).opWork},
		{"pass", 13, (*simWorld).opPass},
		{"attempt times out", 4, (*simWorld).opTimeOut},
		{"worker fails the attempt", 2, (*simWorld).opWorkerFails},
		{"reset", 4, (*simWorld).opReset},
		{"pause", 2, (*simWorld).opPause},
		{"cancel", 3, (*simWorld).opCancel},
		{"workflow task", 6, (*simWorld).opTask},
		{"end of a run", 1, (*simWorld).opEndRun},
		{"history goes", 1, (*simWorld).opForget},
		{"server", 2, (*simWorld).opServer},
		{"heartbeat", 8, (*simWorld).opHeartbeat},
		{"remember", 2, (*simWorld).opRemember},
		{"abandon", 1, (*simWorld).opAbandon},
		{"late", 4, (*simWorld).opLate},
		{"crash", 1, (*simWorld).opCrash},
		{"redeploy", 1, (*simWorld).opRedeploy},
		{"other workflow", 1, (*simWorld).opOtherWorkflow},
		{"write down", 8, (*simWorld).opWriteDown},
		{"deliver for a caller", 8, (*simWorld).opCarry},
		{"refuse a hub", 2, (*simWorld).opRefuse},
		{"workflow reset", 1, (*simWorld).opResetWorkflow},
		{"answered elsewhere", 2, (*simWorld).opAnsweredElsewhere},
		{"fail unheard", 1, (*simWorld).opFailUnheard},
		{"retry", 3, (*simWorld).opRetry},
		{"note", 4, (*simWorld).opNote},
		{"decide", 6, (*simWorld).opDecide},
		{"refresh", 2, (*simWorld).opRefresh},
		{"adopt", 3, (*simWorld).opAdopt},
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
