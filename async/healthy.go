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

// healthyClaims is the number of poll intervals that may pass without a claim.
const healthyClaims = 3

// pulse is the state of a hub's own calls of Run.
type pulse struct {
	runs    atomic.Int32 // number of running calls of Run
	claimed atomic.Int64 // when the last Run began or had a claim answered; Unix nanoseconds
	pause   atomic.Int64 // planned time until the next claim; nanoseconds
}

// begin records that a Run has begun.
func (p *pulse) begin() (end func()) {
	p.beat(time.Now())
	p.runs.Add(1)
	return func() { p.runs.Add(-1) }
}

// beat records that the store has answered a claim.
func (p *pulse) beat(now time.Time) { p.claimed.Store(now.UnixNano()) }

// pauses records how long Run waits before the next claim, unless a signal
// wakes it.
func (p *pulse) pauses(d time.Duration) { p.pause.Store(int64(d)) }

// Ready returns nil if the store accepts writes, so that this process can
// accept answers. If the store does not accept writes, Ready returns the
// store's error. Ready makes one write that the store must refuse, so it
// changes nothing. Ready does not ask Temporal, because a hub accepts answers
// while Temporal is away. Use Ready for readiness probes.
func (h *Hub) Ready(ctx context.Context) error {
	return failed("ready", "", h.ready(ctx))
}

// readyID is an ID that no entry has.
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

// Healthy returns nil if this hub works:
//
//   - Run is running, and has claimed within three poll intervals or within
//     ClaimTime, whichever is longer. A poll interval is 10 s while Run relies
//     on the signals of the store. Calls may have all slots for ClaimTime.
//   - The store accepts answers.
//   - No circuit breaker to Temporal is open.
//
// Otherwise the error names everything that is wrong. Use Healthy for alerts.
// If a failed probe takes the process out of service, use Ready for the probe.
// A hub that cannot reach Temporal can still accept answers.
func (h *Hub) Healthy(ctx context.Context) error {
	now := time.Now()
	return failed("healthy", "", errors.Join(h.pulse.err(now, max(healthyClaims*h.settings.pollInterval, h.settings.claimTime)), h.ready(ctx), h.health.err(now)))
}

// err returns what is wrong with Run.
func (p *pulse) err(now time.Time, within time.Duration) error {
	if p.runs.Load() == 0 {
		return errors.New("Run is not running in this process")
	}
	within = max(within, healthyClaims*time.Duration(p.pause.Load()))
	if since := now.Sub(time.Unix(0, p.claimed.Load())); since > within {
		return fmt.Errorf("Run has claimed nothing from the store for %v, want a claim within %v", since.Round(time.Millisecond), within)
	}
	return nil
}

// err returns what is wrong with the connection to Temporal. The error names
// the namespaces.
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
