package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
)

// MetricsOptions configures [Metrics].
type MetricsOptions struct {
	// NoGauges leaves out latchkey.entries and latchkey.oldest. For these two
	// gauges, a running hub scans the store once per Options.StatsAge. In a
	// large fleet a few replicas with gauges are enough. Defaults to false.
	NoGauges bool
}

// Metrics returns an observer that writes to the metrics handler of Temporal's
// SDK, and thus to the worker's sink. docs/observability.md lists the
// instruments. IDs are never tags. The number of series depends on the numbers
// of activity types, result kinds and error classes, and not on the number of
// activities. Metrics panics if h is nil.
func Metrics(h client.MetricsHandler, o MetricsOptions) Observer {
	if isNilInterface(h) {
		panic("async: Metrics needs a client.MetricsHandler, got nil")
	}
	m := &metrics{handler: h}
	if o.NoGauges {
		return m
	}
	return &metricsWithGauges{metrics: m}
}

// metrics writes to a client.MetricsHandler. metrics is a counter.
type metrics struct {
	handler  client.MetricsHandler
	counters series[client.MetricsCounter]
	timers   series[client.MetricsTimer]
}

// tags identify a series. Empty tags are left out.
type tags struct{ op, state, activityType, resultType, kind, verdict, class, hook string }

// Blocks returns false, because the SDK's handlers do not block: the SDK also
// calls them inline.
func (m *metrics) Blocks() bool { return false }

// series contains the instruments that were used, by name and tags. series
// creates each instrument only once, because creation is slow.
type series[T any] struct {
	mu   sync.Mutex // guards additions
	made atomic.Pointer[map[seriesKey]T]
}

type seriesKey struct {
	name string
	tags tags
}

func (s *series[T]) get(name string, t tags, make func() T) T {
	k := seriesKey{name, t}
	if made := s.made.Load(); made != nil {
		if v, ok := (*made)[k]; ok {
			return v
		}
	}
	v := make()
	s.mu.Lock()
	defer s.mu.Unlock()
	made := map[seriesKey]T{k: v}
	if before := s.made.Load(); before != nil {
		maps.Copy(made, *before)
	}
	s.made.Store(&made)
	return made[k]
}

// of returns the handler with these tags.
func (m *metrics) of(t tags) client.MetricsHandler {
	named := map[string]string{
		"operation": t.op, "state": t.state, "activity_type": t.activityType, "result_type": t.resultType,
		"kind": t.kind, "verdict": t.verdict, "class": t.class, "hook": t.hook,
	}
	maps.DeleteFunc(named, func(_, value string) bool { return value == "" })
	return m.handler.WithTags(named)
}

func (m *metrics) inc(name string, t tags, n int) {
	m.counters.get(name, t, func() client.MetricsCounter { return m.of(t).Counter(name) }).Inc(int64(n))
}

func (m *metrics) took(name string, t tags, d time.Duration) {
	m.timers.get(name, t, func() client.MetricsTimer { return m.of(t).Timer(name) }).Record(d)
}

// Begin implements Observer, for a counter that is joined with other observers.
func (m *metrics) Begin(ctx context.Context, o Operation) (context.Context, func(Done)) {
	c := count{op: o.Op, detail: o.Detail, begun: time.Now()}
	return ctx, func(d Done) {
		if c.about = subjectOfInfo(o.Info); o.Op == OpSettle || o.Op == OpDeliver {
			c.about = subjectOfInfo(d.Info)
		}
		m.count(c, d.Class, d.Count, d.Lag)
	}
}

// count implements counter.
func (m *metrics) count(c count, class string, n int, lag time.Duration) {
	switch c.op {
	case OpHandOff:
		m.inc("latchkey.asked", tags{activityType: c.about.activityType, resultType: c.about.resultType, class: class}, 1)
	case OpSettle:
		m.settle(c, class, lag)
	case OpDeliver:
		m.deliver(c, class, lag)
	case OpBeat:
		m.beat(c, class, lag)
	case OpNotify:
		t := tags{hook: c.detail, class: class}
		m.inc("latchkey.hooks", t, 1)
		m.took("latchkey.hooks.latency", t, time.Since(c.begun))
	case OpQuery:
		m.inc("latchkey.queries", tags{class: class}, 1)
		m.took("latchkey.queries.latency", tags{class: class}, time.Since(c.begun))
	case OpClaim:
		m.inc("latchkey.claims", tags{class: class}, 1)
		m.inc("latchkey.claims.entries", tags{class: class}, n)
	case OpStore:
		m.took("latchkey.store", tags{op: c.detail, class: class}, time.Since(c.begun))
	}
}

func (m *metrics) settle(c count, verdict string, lag time.Duration) {
	m.inc("latchkey.answers", tags{activityType: c.about.activityType, resultType: c.about.resultType, kind: c.detail, verdict: verdict}, 1)
	if verdict == ClassAccepted && lag > 0 {
		m.took("latchkey.wait", tags{activityType: c.about.activityType, kind: c.detail}, lag)
	}
}

func (m *metrics) deliver(c count, class string, lag time.Duration) {
	m.inc("latchkey.delivery.tries", tags{activityType: c.about.activityType, kind: c.detail, class: class}, 1)
	if class != ClassDelivered {
		return
	}
	t := tags{activityType: c.about.activityType, kind: c.detail}
	m.took("latchkey.outbox", t, lag)
	if !c.about.asked.IsZero() && !c.about.settled.IsZero() {
		m.took("latchkey.total", t, c.about.settled.Sub(c.about.asked)+lag)
	}
}

func (m *metrics) beat(c count, class string, lag time.Duration) {
	t := tags{activityType: c.about.activityType, class: class}
	m.inc("latchkey.beats", t, 1)
	m.took("latchkey.beat.late", t, lag)
	if timeout := c.about.heartbeatTimeout; timeout > 0 && lag > timeout/3 {
		m.inc("latchkey.beats.overdue", tags{activityType: c.about.activityType}, 1)
	}
}

// metricsWithGauges also writes snapshots.
type metricsWithGauges struct {
	*metrics

	mu    sync.Mutex
	shown map[gauge]bool // groups in the previous snapshot
}

// gauge identifies a group of [Stats].
type gauge struct {
	state               State
	activityType, class string
}

// ObserveStats implements StatsObserver. A group that is missing in the new
// snapshot is set to zero.
func (m *metricsWithGauges) ObserveStats(s Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := make(map[gauge]bool, len(s.Groups))
	for _, g := range s.Groups {
		k := gauge{g.State, g.ActivityType, g.Class}
		now[k] = true
		m.set(k, g.Entries, s.At.Sub(g.Oldest))
	}
	for k := range m.shown {
		if !now[k] {
			m.set(k, 0, 0)
		}
	}
	m.shown = now
	m.handler.Gauge("latchkey.unreadable").Update(float64(s.Unreadable))
	m.handler.Gauge("latchkey.stats.at").Update(float64(s.At.Unix()))
	m.handler.Gauge("latchkey.stats.took").Update(s.Took.Seconds())
}

func (m *metricsWithGauges) set(k gauge, entries int, oldest time.Duration) {
	h := m.of(tags{state: k.state.String(), activityType: k.activityType, class: k.class})
	h.Gauge("latchkey.entries").Update(float64(entries))
	h.Gauge("latchkey.oldest").Update(max(0, oldest).Seconds())
}

// Join returns an observer that passes every operation to each of the given
// observers. A nil observer is left out.
func Join(observers ...Observer) Observer {
	var all joined
	for _, o := range observers {
		if o != nil && !isNilInterface(o) {
			all = append(all, o)
		}
	}
	return all
}

// joined is a list of observers.
type joined []Observer

// Blocks reports whether one of the observers may block.
func (j joined) Blocks() bool {
	return slices.ContainsFunc(j, func(o Observer) bool {
		b, ok := o.(Blocker)
		return !ok || b.Blocks()
	})
}

// Begin calls the observers in the order in which they were joined, and ends
// them in the reverse order.
func (j joined) Begin(ctx context.Context, o Operation) (context.Context, func(Done)) {
	ends := make([]func(Done), 0, len(j))
	for _, one := range j {
		next, end := one.Begin(ctx, o)
		if next != nil {
			ctx = next
		}
		if end != nil {
			ends = append(ends, end)
		}
	}
	return ctx, func(d Done) {
		for _, end := range slices.Backward(ends) {
			end(d)
		}
	}
}

// ObserveStats passes a snapshot to the observers that want it.
func (j joined) ObserveStats(s Stats) {
	for _, one := range j {
		if o, ok := one.(StatsObserver); ok {
			o.ObserveStats(s.clone())
		}
	}
}

// wantsStats reports whether the observer wants snapshots.
func wantsStats(o Observer) bool {
	if all, ok := o.(joined); ok {
		return slices.ContainsFunc(all, wantsStats)
	}
	_, ok := o.(StatsObserver)
	return ok
}

// showStats passes a snapshot to the observer once per StatsAge, until the
// returned function is called. Without an observer that wants snapshots,
// showStats does nothing.
func (r *runner) showStats(ctx context.Context) (end func()) {
	if !wantsStats(r.lookout.observer) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			s, err := r.stats(ctx)
			if err == nil {
				o := r.lookout.observer.(StatsObserver)
				_, err = callObserver(r.lookout, func() struct{} { o.ObserveStats(s); return struct{}{} })
			}
			if err != nil && ctx.Err() == nil {
				r.lookout.complain(ctx, "stats", err)
			}
			pause(ctx, max(r.statsAge, scanShare*s.Took))
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}
