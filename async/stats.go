package async

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/store"
)

const (
	defaultStatsAge = time.Minute
	minStatsAge     = time.Second
	maxStatsAge     = 24 * time.Hour

	// scanShare limits the cost of scans: a snapshot is kept for this multiple
	// of the duration of its scan.
	scanShare = 200

	// statsChunk is the number of entries that a scan reads at a time.
	statsChunk = 1000
)

// ClassUnknownPump is the class in [Stats] of an entry that waits with a pump that
// this hub does not know.
const ClassUnknownPump = "unknown pump"

// Stats is a snapshot of the entries in a store.
type Stats struct {
	// At is when the scan began, and Took is how long it took. An entry that
	// changed during the scan is counted in its old or its new state.
	At   time.Time
	Took time.Duration

	// Groups are the entries by state, activity type and class, in that order.
	Groups []Group

	// Unreadable is the number of entries that could not be read. The
	// unreadable entries are damaged, or a newer release wrote them. A store
	// reports its own damaged entries once for 500 entries, so there may be
	// more of them.
	Unreadable int
}

// Group counts the entries with one state, activity type and class.
type Group struct {
	State        State
	ActivityType string

	// Class is [Info].Class, or ClassUnknownPump. Class is empty for entries
	// without trouble.
	Class string

	Entries int
	Oldest  time.Time // the earliest of their [Info].Since
}

// Stats returns the number of entries and the oldest one, by state, activity
// type and class. Stats reads the whole store. Stats therefore returns the same
// snapshot to all callers for [Options].StatsAge, or for two hundred times the
// duration of the scan if that is longer. Callers without a fresh snapshot wait
// for one scan, which ends when the last of them leaves.
func (h *Hub) Stats(ctx context.Context) (Stats, error) {
	s, err := h.census.get(ctx, h.scan)
	return s, failed("stats", "", err)
}

// checkStatsAge checks Options.StatsAge, and applies its default.
func checkStatsAge(age time.Duration) (time.Duration, error) {
	switch {
	case age == 0:
		return defaultStatsAge, nil
	case age < minStatsAge || age > maxStatsAge:
		return 0, fmt.Errorf("async: Options.StatsAge must be between %v and %v, got %v", minStatsAge, maxStatsAge, age)
	}
	return age, nil
}

// scan counts the entries of the store.
func (h *Hub) scan(ctx context.Context) (Stats, error) {
	s := Stats{At: time.Now()}
	type group struct {
		state      State
		typ, class string
	}
	groups := make(map[group]*Group)
	var counted countable
	for stored, err := range h.everything(ctx) {
		var e entry
		if err == nil {
			e, err = counted.decode(stored)
		}
		switch {
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, errNewer):
			s.Unreadable++
			continue
		case err != nil:
			return Stats{}, err
		}
		k := group{State(e.rec.State), e.rec.ActivityType, h.classOf(e, s.At)}
		g := groups[k]
		if g == nil {
			g = &Group{State: k.state, ActivityType: k.typ, Class: k.class}
			groups[k] = g
		}
		g.Entries++
		if since := lifecycle.StateSince(e.rec); g.Entries == 1 || since.Before(g.Oldest) {
			g.Oldest = since
		}
	}
	for _, g := range groups {
		s.Groups = append(s.Groups, *g)
	}
	slices.SortFunc(s.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.ActivityType, b.ActivityType), cmp.Compare(a.Class, b.Class))
	})
	s.Took = time.Since(s.At)
	return s, nil
}

// classOf returns the entry's class, as far as this hub can know it. A hub that
// only settles knows no pumps.
func (h *Hub) classOf(e entry, now time.Time) string {
	if _, known := h.settings.pumps[e.rec.Pump]; !known && h.completer != nil && !lifecycle.BeatAt(e.rec).IsZero() {
		return ClassUnknownPump
	}
	return lifecycle.Class(e.rec, h.entries.retention, now)
}

// everything yields the entries of the store. everything uses pages if the
// store has them, because they need less memory than some lists.
func (h *Hub) everything(ctx context.Context) iter.Seq2[store.Entry, error] {
	pager, ok := h.entries.store.(store.Pager)
	if !ok {
		return h.entries.store.List(ctx)
	}
	return func(yield func(store.Entry, error) bool) {
		for after := ""; ; {
			stored, err := pager.Page(ctx, after, statsChunk)
			if errors.Is(err, errors.ErrUnsupported) && after == "" {
				h.entries.store.List(ctx)(yield)
				return
			}
			if err != nil && !yield(store.Entry{}, err) {
				return
			}
			if len(stored) == 0 {
				return
			}
			for _, e := range stored {
				if !yield(e, nil) {
					return
				}
				after = e.ID
			}
		}
	}
}

// census shares snapshots of the store between its callers.
type census struct {
	age time.Duration

	mu    sync.Mutex
	last  Stats     // zero: none
	under *scanning // nil if no scan is running
}

// scanning is a running scan.
type scanning struct {
	done   chan struct{}
	cancel context.CancelFunc
	stats  Stats // set before done is closed
	err    error

	callers int // number of waiting callers; guarded by census.mu
}

// get returns the last snapshot if it is fresh, and otherwise waits for a scan.
func (c *census) get(ctx context.Context, scan func(context.Context) (Stats, error)) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	c.mu.Lock()
	if !c.last.At.IsZero() && time.Since(c.last.At) < max(c.age, scanShare*c.last.Took) {
		defer c.mu.Unlock()
		return c.last.clone(), nil
	}
	s := c.under
	if s == nil {
		s = &scanning{done: make(chan struct{})}
		var calls context.Context
		calls, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
		c.under = s
		go c.run(calls, s, scan)
	}
	s.callers++
	c.mu.Unlock()
	select {
	case <-s.done:
		return s.stats.clone(), s.err
	case <-ctx.Done():
		c.leave(s)
		return Stats{}, ctx.Err()
	}
}

// run makes a scan.
func (c *census) run(ctx context.Context, s *scanning, scan func(context.Context) (Stats, error)) {
	defer s.cancel()
	s.stats, s.err = scan(ctx)
	c.mu.Lock()
	if s.err == nil {
		c.last = s.stats
	}
	if c.under == s {
		c.under = nil
	}
	c.mu.Unlock()
	close(s.done)
}

// leave ends the scan with its last caller.
func (c *census) leave(s *scanning) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.callers--; s.callers == 0 {
		s.cancel()
		if c.under == s {
			c.under = nil // the next caller begins another scan
		}
	}
}

// clone returns a copy of the snapshot that the caller may change.
func (s Stats) clone() Stats {
	s.Groups = slices.Clone(s.Groups)
	return s
}
