package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// healthyClaims is how many poll intervals may pass without a claim.
const healthyClaims = 3

// pulse is what a hub knows of its own Run.
type pulse struct {
	runs    atomic.Int32 // calls of Run under way
	claimed atomic.Int64 // when one of them last began, or had a claim answered; Unix nanoseconds
	pause   atomic.Int64 // until the next claim, as planned after the last one; nanoseconds
}

// begin notes that a Run has begun.
func (p *pulse) begin() (end func()) {
	p.beat(time.Now())
	p.runs.Add(1)
	return func() { p.runs.Add(-1) }
}

// beat notes that the store has answered a claim.
func (p *pulse) beat(now time.Time) { p.claimed.Store(now.UnixNano()) }

// pauses notes how long Run waits before it claims again, unless something wakes it.
func (p *pulse) pauses(d time.Duration) { p.pause.Store(int64(d)) }

// Ready returns nil if the store takes answers, so that this process can accept
// them, and otherwise the store's error. It makes one write that the store must
// refuse, and so changes nothing. Temporal is not asked: a hub accepts while
// Temporal is away. Use it for readiness probes.
func (h *Hub) Ready(ctx context.Context) error {
	return failed("ready", "", h.ready(ctx))
}

// readyID is of no entry.
const readyID = "latchkey.ready"

func (h *Hub) ready(ctx context.Context) error {
	_, err := h.entries.store.Put(ctx, store.Entry{ID: readyID, Version: 1, Body: []byte{0}})
	switch {
	case errors.Is(err, store.ErrConflict):
		return nil
	case err == nil:
		return fmt.Errorf("the store replaced an entry that does not exist, at version 1 of %q", readyID)
	}
	return err
}

// Healthy returns nil if this hub works: Run is under way and has claimed within
// three poll intervals (10 s each while it relies on the signals of the store, or
// within ClaimTime, for which calls may have all slots),
// the store takes answers, and no circuit breaker to Temporal is open. Otherwise
// the error names everything that is wrong. Use it for alerts. Where a probe that
// fails takes the process out of service, use Ready: a hub that does not reach
// Temporal can still accept answers.
func (h *Hub) Healthy(ctx context.Context) error {
	now := time.Now()
	return failed("healthy", "", errors.Join(h.pulse.err(now, max(healthyClaims*h.settings.pollInterval, h.settings.claimTime)), h.ready(ctx), h.health.err(now)))
}

// err is what is wrong with Run.
func (p *pulse) err(now time.Time, within time.Duration) error {
	if p.runs.Load() == 0 {
		return errors.New("Run is not under way in this process")
	}
	within = max(within, healthyClaims*time.Duration(p.pause.Load()))
	if since := now.Sub(time.Unix(0, p.claimed.Load())); since > within {
		return fmt.Errorf("Run has claimed nothing from the store for %v, want a claim within %v", since.Round(time.Millisecond), within)
	}
	return nil
}

// err is what is wrong with the way to Temporal. It names the namespaces.
func (h *health) err(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var wrong []string
	for w, b := range h.breakers {
		if b.open {
			what := map[kind]string{aBeat: "heartbeats and questions", anAnswer: "answers"}[w.kind]
			wrong = append(wrong, fmt.Sprintf("Temporal is %v for %s of namespace %q since %v", b.cause, what, w.namespace, now.Sub(b.since).Round(time.Second)))
		}
	}
	if wrong == nil {
		return nil
	}
	slices.Sort(wrong)
	return errors.New(strings.Join(wrong, "; "))
}
