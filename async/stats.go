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

	// scanShare bounds what scans cost: a snapshot is kept for as many times the
	// time that its scan took.
	scanShare = 100

	// statsChunk is how many entries a scan reads at a time.
	statsChunk = 500
)

// ClassUnknownPump is the class in [Stats] of an entry that waits with a pump that
// this hub does not know.
const ClassUnknownPump = "unknown pump"

// Stats is a snapshot of what a store has.
type Stats struct {
	// At is when the scan began, and Took how long it took. The counts of entries
	// that changed in between are of one moment or another.
	At   time.Time
	Took time.Duration

	// Groups are the entries by state, activity type and class, in that order.
	Groups []Group

	// Unreadable is the number of entries that could not be read, because they are
	// damaged or of a newer release. A store reports damage of its own once for
	// 500 entries, so that there may be more.
	Unreadable int
}

// Group counts entries of one state, activity type and class.
type Group struct {
	State        State
	ActivityType string

	// Class is [Info].Class, or ClassUnknownPump. It is empty for entries of which
	// nothing goes wrong.
	Class string

	Entries int
	Oldest  time.Time // the earliest of their [Info].Since
}

// Stats returns the number of entries, and the oldest, by state, activity type
// and class. It reads the whole store, and so returns the same snapshot to all
// callers for [Options].StatsAge, or for a hundred times as long as the scan took
// if that is longer. Callers that find no snapshot wait for one scan, which ends
// with the last of them.
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
	for stored, err := range h.everything(ctx) {
		var e entry
		if err == nil {
			e, err = decodeEntry(stored)
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

// classOf is the entry's class, as far as this hub can tell. A hub that only
// settles has no pumps to know.
func (h *Hub) classOf(e entry, now time.Time) string {
	if _, known := h.settings.pumps[e.rec.Pump]; !known && h.completer != nil && !lifecycle.BeatAt(e.rec).IsZero() {
		return ClassUnknownPump
	}
	return lifecycle.Class(e.rec, h.entries.retention, now)
}

// everything yields the entries of the store, through its pages if it has any:
// these keep less in memory than some lists do.
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

// census shares snapshots of the store among those who ask for one.
type census struct {
	age time.Duration

	mu    sync.Mutex
	last  Stats     // zero: none
	under *scanning // nil: no scan is under way
}

// scanning is a scan under way.
type scanning struct {
	done   chan struct{}
	cancel context.CancelFunc
	stats  Stats // set when done is closed
	err    error

	callers int // that wait; guarded by census.mu
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
			c.under = nil // the next caller begins another
		}
	}
}

// clone returns a snapshot that its caller may change.
func (s Stats) clone() Stats {
	s.Groups = slices.Clone(s.Groups)
	return s
}
