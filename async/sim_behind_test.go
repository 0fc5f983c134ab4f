package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// In some processes, the recorder finds Run running. Delivered results are then
// recorded after their callers have returned, here by an operation and not by a
// goroutine.

// opWriteDown makes a process record some of its deliveries.
func (w *simWorld) opWriteDown() {
	var behind []*simProc
	for _, p := range w.procs {
		if !p.dead && len(p.hub.recorder.queue) > 0 {
			behind = append(behind, p)
		}
	}
	if len(behind) == 0 {
		return
	}
	p := behind[w.rng.n(len(behind))]
	w.writeDown(p, 1+w.rng.n(len(p.hub.recorder.queue)))
}

// writeDown makes a process record n deliveries one after the other, as
// finishAll does.
func (w *simWorld) writeDown(p *simProc, n int) {
	f := w.push("write down", p)
	defer w.pop()
	for range n {
		d, any := p.nextDelivery()
		if !any {
			return // other processes have recorded the rest, or the rest is lost
		}
		before := w.records[d.entry.id]
		w.logf("%s: writes down that %s of %s was delivered", p.name, w.nameOf(d.mark), shortID(d.entry.id))
		p.hub.deliverer.record(context.Background(), d)
		after := w.records[d.entry.id]
		switch {
		case settledOn(after, d.mark):
			w.marks[d.mark].lost = true
		case !settledOn(before, d.mark) && !f.rough:
			w.expect(before == after, "Settled, delivered, known before it was written down: nothing")
		}
	}
}

// settledOn reports whether a record still has to deliver this outcome.
func settledOn(r *record.Record, mark string) bool {
	return r != nil && State(r.State) == Settled && r.Outcome.GetMark() == mark
}

func (p *simProc) nextDelivery() (d delivery, more bool) {
	select {
	case d = <-p.hub.recorder.queue:
		return d, true
	default:
		return d, false
	}
}

// loseDeliveries ends a process that had deliveries to record.
func (p *simProc) loseDeliveries() {
	for d, any := p.nextDelivery(); any; d, any = p.nextDelivery() {
		p.w.logf("%s: nobody will write down that %s was delivered", p.name, p.w.nameOf(d.mark))
		p.w.marks[d.mark].lost = true
	}
}

// endRuns ends the calls of Run: some processes record all their deliveries,
// and some die before.
func (w *simWorld) endRuns() {
	for _, p := range w.procs {
		if left := len(p.hub.recorder.queue); left > 0 && w.rng.chance(500) {
			w.writeDown(p, left)
		} else {
			p.loseDeliveries()
		}
	}
}

// behindRow names how a hub learned that a settled outcome was delivered, if
// the call itself did not record this.
func (w *simWorld) behindRow(f *simFrame, r *record.Record) {
	switch m := w.marks[r.Outcome.GetMark()]; {
	case m == nil || r.End != record.EndDelivered:
	case f.op == "write down":
		w.hit("Settled, delivered: written down behind the caller")
	case m.lost:
		w.hit("Settled, delivered, lost before it was written down: evidence tells")
	}
}
