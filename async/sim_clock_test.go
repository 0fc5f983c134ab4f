package async

import (
	"bytes"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// outgoing converts a hub's write to the store's form.
func (p *simProc) outgoing(e store.Entry) (store.Entry, *record.Record) {
	in, err := decodeEntry(e)
	if err != nil {
		panic(err)
	}
	r := in.rec
	regular := e.Due.Equal(lifecycle.Due(r, p.hub.entries.retention))
	shift(r, p.skew)
	now := time.Now().Add(p.skew).UnixNano()
	if r.Delivery != nil {
		p.w.settleJitter(&r.Delivery.Next, now, lifecycle.FirstDelivery, lifecycle.LastDelivery)
	}
	if r.Questions > 0 { // without a repeated question there is no jitter
		p.w.settleJitter(&r.NextQuestion, now, lifecycle.FirstQuestion, lifecycle.LastQuestion)
	}
	p.w.settleJitter(&r.NextNotice, now, lifecycle.FirstNotice, lifecycle.LastNotice)
	if r.BeatTries > 0 {
		p.w.settleJitter(&r.NextBeat, now, lifecycle.FirstBeatRetry, lifecycle.LastBeatRetry)
	}
	if !e.Due.IsZero() {
		e.Due = e.Due.Add(p.skew)
	}
	if regular {
		e.Due = lifecycle.Due(r, p.hub.entries.retention)
	}
	out, err := entry{id: e.ID, version: e.Version, due: e.Due, rec: r}.encode()
	if err != nil {
		panic(err)
	}
	f := p.w.frame()
	f.lasts = append(f.lasts, simPut{hubs: e.Body, stored: out.Body})
	return out, r
}

// incoming converts the store's entry to the form that the hub reads.
func (p *simProc) incoming(e store.Entry) store.Entry {
	if !e.Due.IsZero() {
		e.Due = e.Due.Add(-p.skew)
	}
	for _, last := range slices.Backward(p.w.frame().lasts) {
		if bytes.Equal(last.stored, e.Body) {
			e.Body = bytes.Clone(last.hubs)
			return e
		}
	}
	if p.skew == 0 {
		return e
	}
	in, err := decodeEntry(e)
	if err != nil {
		return e
	}
	shift(in.rec, -p.skew)
	out, err := in.encode()
	if err != nil {
		panic(err)
	}
	return out
}

// shift moves the times in a record that come from a hub's clock. shift also
// moves the deadline, which is Temporal's but is compared with the hub's clock.
// Started, Scheduled and Asked are Temporal's times and are compared with each
// other.
func shift(r *record.Record, by time.Duration) {
	if by == 0 {
		return
	}
	for _, t := range []*int64{&r.Deadline, &r.Created, &r.Ended, &r.NextQuestion, &r.NextNotice, &r.LastBeat, &r.NextBeat, &r.BeatPendingSince, &r.DetailsPendingSince, &r.RoundBegan} {
		if *t != 0 {
			*t += int64(by)
		}
	}
	if r.Delivery.GetNext() != 0 {
		r.Delivery.Next += int64(by)
	}
	if r.Outcome.GetSettled() != 0 {
		r.Outcome.Settled += int64(by)
	}
}

// settleJitter removes the randomness from a time that the hub has jittered, so
// that a history can be replayed. settleJitter rounds the time to its value
// without jitter.
func (w *simWorld) settleJitter(at *int64, now int64, first, last time.Duration) {
	if *at == 0 {
		return
	}
	if known, ok := w.jittered[*at]; ok {
		*at = known
		return
	}
	d := time.Duration(*at - now)
	was := *at
	if d%time.Second != 0 {
		// The ranges of two tries do not overlap, except near the last try.
		anchor := first
		for anchor < last && d > anchor+anchor/4 {
			anchor *= 2
		}
		if anchor*2 > last {
			anchor = last
		}
		*at = now + int64(anchor)
	}
	w.jittered[was], w.jittered[*at] = *at, *at
}

// sleep lets time pass.
func (w *simWorld) sleep(d time.Duration) {
	w.align()
	time.Sleep(d)
	w.clock = time.Now()
}

// align removes the randomness from a hub's jittered pause between two steps:
// the pause lasts as long as the maximum.
func (w *simWorld) align() {
	paused := time.Since(w.clock)
	if paused <= 0 {
		return
	}
	longest := firstUnresolved + firstUnresolved/4
	for paused > longest {
		longest *= 2
	}
	time.Sleep(longest - paused)
	w.clock = time.Now()
}
