package async

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simNewer is an entry that a newer release has written.
const simNewer = "newer"

func (w *simWorld) addNewer() {
	e, err := entry{id: simNewer, due: time.Now(), rec: &record.Record{State: 77}}.encode()
	if err != nil {
		panic(err)
	}
	if _, err := w.mem.Put(context.Background(), e); err != nil {
		panic(err)
	}
}

// finish brings everything to its end without faults. Attempts continue until
// every settled outcome is delivered, then the activities end, and then the
// retention ends.
func (w *simWorld) finish() {
	w.calm, w.rates = true, simRates{}
	w.away, w.refusing = false, false
	for _, p := range w.procs {
		p.refused, p.carried = false, nil // the deliveries of callers that left are lost
	}
	w.logf("- from here on nothing fails")
	for len(w.late) > 0 {
		w.opLate()
	}
	w.endRuns()
	for _, r := range w.runs {
		w.endTask(r)
		for _, a := range r.acts {
			a.paused = false
		}
	}
	for range 5 {
		w.tick()
		w.workAll()
		for _, r := range w.runs {
			for _, a := range r.acts {
				w.goOn(a)
			}
		}
		w.workAll()
		w.sleep(7 * time.Minute)
	}
	w.tick()
	w.workAll()
	w.checkDetails()
	for id, r := range w.records {
		if a := w.actOfRecord(r); State(r.State) == Settled && !r.Early && a != nil && a.pending() && id != simNewer {
			w.violate("G1", "an accepted outcome isn't delivered although nothing fails and attempts go on")
		}
	}
	for _, r := range w.runs {
		for _, a := range r.acts {
			if a.pending() && w.rng.chance(700) {
				w.close(a, simEnd{kind: "timed out", mark: a.lastMark})
			}
		}
		w.endTask(r)
		if r.open() {
			w.terminate(r)
		}
	}
	for range 8 {
		w.sleep(70 * time.Minute)
		w.workAll()
	}
	w.checkEnd()
}

// goOn makes an activity's attempts continue correctly: an attempt that was not
// handed off dies, and the next one is handed off.
func (w *simWorld) goOn(a *simAct) {
	if a.pending() && a.cur != nil {
		at := a.cur
		w.start(at)
		w.workAll() // the hub of Start may be one that only settles
		r := w.records[record.EntryID(recordOf(at.info(0), a.options, at.typ))]
		if a.cur == at && (r == nil || State(r.State) != Waiting || r.Started != at.started.UnixNano()) {
			w.timeOut(a)
		}
		return
	}
	if a.pending() && a.cur == nil {
		if d := time.Until(a.backoff); d > 0 {
			w.sleep(d)
		}
		if a.canPoll() {
			at := w.poll(a)
			w.attempts = append(w.attempts, at)
			w.start(at)
		}
	}
}

func (w *simWorld) workAll() {
	for range 200 {
		if w.wrong != "" || w.work(w.worker()) == 0 {
			return
		}
	}
	w.violate("G6", "what is due never ends")
}

// checkEnd checks the guarantees that must hold after everything has ended.
func (w *simWorld) checkEnd() {
	for e, err := range w.mem.List(context.Background()) {
		if err != nil {
			panic(err)
		}
		if e.ID == simNewer {
			w.checkNewer(e)
			continue
		}
		r := w.records[e.ID]
		w.violate("G6", "an entry never ends: %v, %v, due %s", State(r.State), r.End, simTime(e.Due))
	}
	for _, ask := range w.asks {
		for says := range ask.acked {
			if !w.arrived(ask.entry, ask.id, says) && !ask.abandoned {
				w.violate("G1", "%q was accepted, and has neither arrived nor is it told why", says)
			}
		}
	}
	for _, k := range w.keys {
		if !w.arrived(k.entry, "", k.says) {
			w.violate("G1", "%q was accepted by key, and has neither arrived nor is it told why", k.says)
		}
	}
	for _, r := range w.rounds {
		if r.over && !slices.Contains(r.told, "over") {
			w.violate("G6", "an end without the outcome was never told")
		}
	}
}

// arrived reports whether Temporal accepted an outcome with this content, or a
// hook reported that it did not.
func (w *simWorld) arrived(entry, callback, says string) bool {
	for _, m := range w.marks {
		if m.entry != entry || callback != "" && m.callback != callback || m.says != says {
			continue
		}
		if m.accepts > 0 || slices.Contains(w.round(m.callback).told, "over") {
			return true
		}
	}
	return false
}

func (w *simWorld) checkNewer(e store.Entry) {
	if d, err := decodeEntry(e); err != nil || d.rec.State != 77 || !e.Due.After(time.Now()) {
		w.violate("row", "an entry of a newer release was not left alone")
		return
	}
	w.hit("unknown newer state: left alone")
}
