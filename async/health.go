package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async/completer"
)

const (
	// restAfter is how long a hub claims nothing after the server has reported
	// exhausted resources. The SDK also retries the failed call on its own.
	restAfter = time.Second

	// strikes is the number of consecutive failed calls that open a breaker.
	strikes = 2

	// slowCall is how long a call may take before it counts as failed. A slow
	// call does not count if another call to its namespace has succeeded since
	// it began. If Temporal takes longer than half of slowCall for a call, the
	// next calls may take twice as long as that call, at most slowestCall. A
	// slow server is not unreachable.
	slowCall    = time.Second
	slowestCall = 6 * time.Second

	// The time between two probes of a namespace with an open breaker begins at
	// firstProbe, and doubles up to lastProbe. If Temporal refuses the hub, it
	// doubles up to lastRefusedProbe.
	firstProbe       = time.Second
	lastProbe        = 5 * time.Second
	lastRefusedProbe = 30 * time.Second

	// idleBreaker is how long an open breaker without due work slows its hub
	// down.
	idleBreaker = time.Minute
)

// cause is the reason for which a breaker is open.
type cause int

const (
	unreachable cause = iota // the calls fail or take too long
	refused                  // Temporal refuses this hub: permission, credentials, namespace, or no client
)

// String returns the cause for log lines.
func (c cause) String() string {
	if c == refused {
		return "refused"
	}
	return "unreachable"
}

// health is a hub's knowledge about its connection to Temporal: circuit
// breakers for each namespace, and whether the server has reported exhausted
// resources.
//
// A namespace has one breaker for answers, and one for heartbeats and
// questions. Hanging answers thus delay no heartbeat. A breaker is closed at
// first. Consecutive failed calls open a breaker. While a breaker is open, the
// hub makes no calls for due entries and leaves the entries to other hubs. From
// time to time the hub makes one call, a probe. A call that Temporal answers
// closes the breaker.
type health struct {
	log    *slog.Logger
	closed func(namespace string, k kind) // called when a breaker closes

	mu       sync.Mutex
	rested   time.Time // the hub makes no claims until this time
	breakers map[way]*breaker
}

// way identifies a breaker by namespace and kind of call.
type way struct {
	namespace string
	kind      kind
}

// breaker is a circuit breaker.
type breaker struct {
	open     bool
	cause    cause
	strikes  int           // number of consecutive failed calls
	answered time.Time     // when Temporal last answered
	pace     time.Duration // how long recent calls to Temporal took
	since    time.Time     // when the breaker opened, or when its cause changed
	wanted   time.Time     // when the hub last had work for the namespace
	probe    time.Time     // when the next probe is due
	pause    time.Duration
}

// of returns a breaker. The caller holds mu.
func (h *health) of(w way) *breaker {
	b := h.breakers[w]
	if b == nil {
		if h.breakers == nil {
			h.breakers = make(map[way]*breaker)
		}
		b = new(breaker)
		h.breakers[w] = b
	}
	return b
}

// exhausted makes the hub pause its claims if the server has reported exhausted
// resources.
func (h *health) exhausted(err error, now time.Time) {
	if is[*serviceerror.ResourceExhausted](err) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.rested = now.Add(restAfter)
	}
}

// note learns from the result of a call that began at the given time.
func (h *health) note(w way, err error, begun, now time.Time) {
	if hasAnswered(err) {
		h.close(w, begun, now)
	} else if why, counts := failedBy(err); counts {
		h.strike(w, why, now)
	}
}

// failedBy reports whether a call failed because this hub cannot reach the
// namespace or may not use it. failedBy ignores a call that timed out, because
// slow has already counted it.
func failedBy(err error) (why cause, counts bool) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		is[*serviceerror.Canceled](err), is[*serviceerror.DeadlineExceeded](err), is[*serviceerror.ResourceExhausted](err),
		is[*serviceerror.Internal](err), is[*serviceerror.DataLoss](err):
		return 0, false
	case errors.Is(err, completer.ErrRefused):
		return refused, true
	default:
		return unreachable, true
	}
}

// hasAnswered reports whether Temporal has answered a call, with success or an
// error.
func hasAnswered(err error) bool {
	return err == nil || errors.Is(err, completer.ErrOver) || errors.Is(err, completer.ErrNotStarted) || errors.Is(err, completer.ErrCancelNotRequested) ||
		errors.Is(err, completer.ErrCallRefused) || errors.Is(err, completer.ErrUnknownStatus)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// patience returns how long a call may take before it counts as failed.
func (h *health) patience(namespace string, kinds []kind) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := slowCall
	for _, k := range kinds {
		longest = max(longest, 2*h.of(way{namespace, k}).pace)
	}
	return min(longest, slowestCall)
}

// slow counts a running call as failed after its patience.
func (h *health) slow(w way, begun time.Time) {
	h.mu.Lock()
	fine := h.of(w).answered.After(begun)
	h.mu.Unlock()
	if !fine {
		h.strike(w, unreachable, time.Now())
	}
}

func (h *health) strike(w way, why cause, now time.Time) {
	h.mu.Lock()
	b := h.of(w)
	b.strikes++
	b.wanted = now
	news := false
	if b.strikes >= strikes && !b.open || b.open && b.cause != why {
		news = !h.openFor(w.namespace, why)
		b.open, b.cause, b.since = true, why, now
		b.pause = firstProbe
		b.probe = now.Add(b.pause)
	}
	h.mu.Unlock()
	switch {
	case news && why == refused:
		h.log.Warn("async: Temporal refuses this hub for a namespace: the hub leaves the namespace's heartbeats and answers to other hubs; give it a client with permission for the namespace, or a store of its own",
			slog.String("namespace", w.namespace))
	case news:
		h.log.Warn("async: this hub cannot reach Temporal for a namespace: it probes now and then, and leaves the namespace's heartbeats and answers to other hubs meanwhile",
			slog.String("namespace", w.namespace))
	}
}

// openFor reports whether one of the namespace's breakers is open for this
// cause. The caller of openFor holds mu.
func (h *health) openFor(namespace string, why cause) bool {
	for _, k := range []kind{aBeat, anAnswer} {
		if b := h.breakers[way{namespace, k}]; b != nil && b.open && b.cause == why {
			return true
		}
	}
	return false
}

// close records that Temporal has answered a call that began at the given time.
func (h *health) close(w way, begun, now time.Time) {
	h.mu.Lock()
	b := h.of(w)
	was, since, why := b.open, b.since, b.cause
	b.open, b.strikes, b.answered = false, 0, now
	b.pace = max(now.Sub(begun), b.pace/2)
	over := was && !h.openFor(w.namespace, unreachable) && !h.openFor(w.namespace, refused)
	h.mu.Unlock()
	if over {
		h.log.Info("async: Temporal answers this hub again for a namespace",
			slog.String("namespace", w.namespace), slog.String("before", why.String()), slog.Duration("after", now.Sub(since)))
	}
	if was {
		h.closed(w.namespace, w.kind)
	}
}

// rest returns how long the hub still pauses its claims.
func (h *health) rest(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rested.Sub(now)
}

// open reports whether a breaker is open.
func (h *health) open(namespace string, k kind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[way{namespace, k}]
	return b != nil && b.open
}

// admits reports whether a call may be made: the breaker is closed, or the call
// is a probe that is due.
func (h *health) admits(w way, now time.Time) (admitted, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[w]
	if b == nil || !b.open {
		return true, false
	}
	b.wanted = now
	if now.Before(b.probe) {
		return false, false
	}
	last := lastProbe
	if b.cause == refused {
		last = lastRefusedProbe
	}
	b.pause = min(2*b.pause, last)
	b.probe = now.Add(b.pause)
	return true, true
}

// shut reports whether a breaker is open, and no probe is due.
func (h *health) shut(w way, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[w]
	if b == nil || !b.open {
		return false
	}
	b.wanted = now
	return now.Before(b.probe)
}

// probeDue reports whether a breaker is open, and a probe is due.
func (h *health) probeDue(w way, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[w]
	return b != nil && b.open && !now.Before(b.probe)
}

// refusedSince returns since when Temporal refuses this hub's answers for the
// namespace, or the zero time if Temporal does not refuse them.
func (h *health) refusedSince(namespace string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.breakers[way{namespace, anAnswer}]; b != nil && b.open && b.cause == refused {
		return b.since
	}
	return time.Time{}
}

// behind reports whether the hub must let other hubs claim first. It must if a
// breaker is open and the hub recently had work for that breaker.
func (h *health) behind(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.breakers {
		if b.open && now.Sub(b.wanted) < idleBreaker {
			return true
		}
	}
	return false
}
