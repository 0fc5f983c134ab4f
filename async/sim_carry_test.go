package async

import (
	"context"
	"maps"
	"time"
)

// Some callers of the simulation leave before their answer is delivered. The
// delivery is then a separate operation, which runs later, or never if the
// process dies. Temporal refuses some hubs and accepts others.

// simUnwaited is the number of callers in a thousand that do not wait for the
// delivery.
const simUnwaited = 200

// carries makes the deliveries of a process's callers run within the answer, or
// later.
func (p *simProc) carries() {
	p.hub.courier.spawn = func(f func()) {
		if p.w.calm || !p.w.rng.chance(simUnwaited) {
			f()
			return
		}
		p.w.frame().rough = true
		reads := maps.Clone(p.w.frame().reads)
		p.carried = append(p.carried, func() {
			p.w.frame().reads = reads // the delivery continues with what the answer has read
			f()
		})
		p.w.hit("Settled: the caller has left before the delivery")
	}
}

// opCarry runs a delivery whose caller has left.
func (w *simWorld) opCarry() {
	p := w.procs[w.rng.n(len(w.procs))]
	if p.dead || len(p.carried) == 0 {
		return
	}
	f := p.carried[0]
	p.carried = p.carried[1:]
	w.push("carry", p)
	defer w.pop()
	w.logf("%s: delivers for a caller who has left", p.name)
	f()
}

// opRefuse makes Temporal refuse one hub, or accept it again.
func (w *simWorld) opRefuse() {
	p := w.procs[w.rng.n(len(w.procs))]
	p.refused = !p.refused && w.rng.chance(600)
	w.logf("%s: refused: %t", p.name, p.refused)
}

// left reports whether a hub leaves an entry as a running hub does, and makes
// the hub leave it.
func (w *simWorld) left(p *simProc, c claimed, until time.Time) bool {
	if w.calm || c.err != nil {
		return false
	}
	if admitted, _ := p.hub.runner.admits(c.entry); admitted {
		return false
	}
	w.hit("breaker open: left alone")
	e, next := p.hub.runner.leave(context.Background(), c.entry, until)
	if next == hooksNext {
		p.hub.notifier.notify(context.Background(), e)
	}
	return true
}
