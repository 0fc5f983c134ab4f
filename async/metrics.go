package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
)

// MetricsOptions configures [Metrics].
type MetricsOptions struct {
	// NoGauges leaves out latchkey.entries and latchkey.oldest, for which a hub that
	// runs scans the store once per Options.StatsAge. In a large fleet a few
	// replicas with gauges are enough. Defaults to false.
	NoGauges bool
}

// Metrics returns an observer that writes to the metrics handler of Temporal's
// SDK, and so to the sink that the worker has. docs/observability.md lists the
// instruments. IDs are never tags: the number of series depends on how many
// activity types, result kinds and error classes there are, and not on how many
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

// metrics writes to a client.MetricsHandler.
type metrics struct {
	handler client.MetricsHandler
	tagged  sync.Map // handlers with tags, by tags
}

// tags identify a series. Empty ones are left out.
type tags struct{ op, state, activityType, resultType, kind, verdict, class, hook string }

// Blocks reports that the SDK's handlers don't block: the SDK calls them inline
// too.
func (m *metrics) Blocks() bool { return false }

// of returns the instruments with these tags.
func (m *metrics) of(t tags) client.MetricsHandler {
	if h, ok := m.tagged.Load(t); ok {
		return h.(client.MetricsHandler)
	}
	named := map[string]string{
		"operation": t.op, "state": t.state, "activity_type": t.activityType, "result_type": t.resultType,
		"kind": t.kind, "verdict": t.verdict, "class": t.class, "hook": t.hook,
	}
	maps.DeleteFunc(named, func(_, value string) bool { return value == "" })
	h := m.handler.WithTags(named)
	m.tagged.Store(t, h)
	return h
}

// Begin implements Observer.
func (m *metrics) Begin(ctx context.Context, o Operation) (context.Context, func(Done)) {
	begun := time.Now()
	switch o.Op {
	case OpHandOff:
		return ctx, func(d Done) { m.handOff(o, d) }
	case OpSettle:
		return ctx, func(d Done) { m.settle(o, d) }
	case OpDeliver:
		return ctx, func(d Done) { m.deliver(o, d) }
	case OpBeat:
		return ctx, func(d Done) { m.beat(o, d) }
	case OpNotify:
		return ctx, func(d Done) {
			h := m.of(tags{hook: o.Detail, class: d.Class})
			h.Counter("latchkey.hooks").Inc(1)
			h.Timer("latchkey.hooks.latency").Record(time.Since(begun))
		}
	case OpQuery:
		return ctx, func(d Done) {
			h := m.of(tags{class: d.Class})
			h.Counter("latchkey.queries").Inc(1)
			h.Timer("latchkey.queries.latency").Record(time.Since(begun))
		}
	case OpClaim:
		return ctx, func(d Done) {
			h := m.of(tags{class: d.Class})
			h.Counter("latchkey.claims").Inc(1)
			h.Counter("latchkey.claims.entries").Inc(int64(d.Count))
		}
	case OpStore:
		return ctx, func(d Done) {
			m.of(tags{op: o.Detail, class: d.Class}).Timer("latchkey.store").Record(time.Since(begun))
		}
	}
	return ctx, nil
}

func (m *metrics) handOff(o Operation, d Done) {
	m.of(tags{activityType: o.Info.ActivityType, resultType: o.Info.ResultType, class: d.Class}).Counter("latchkey.asked").Inc(1)
}

func (m *metrics) settle(o Operation, d Done) {
	i := d.Info
	m.of(tags{activityType: i.ActivityType, resultType: i.ResultType, kind: o.Detail, verdict: d.Class}).Counter("latchkey.answers").Inc(1)
	if d.Class == ClassAccepted && d.Lag > 0 {
		m.of(tags{activityType: i.ActivityType, kind: o.Detail}).Timer("latchkey.wait").Record(d.Lag)
	}
}

func (m *metrics) deliver(o Operation, d Done) {
	i := d.Info
	m.of(tags{activityType: i.ActivityType, kind: o.Detail, class: d.Class}).Counter("latchkey.delivery.tries").Inc(1)
	if d.Class != ClassDelivered {
		return
	}
	h := m.of(tags{activityType: i.ActivityType, kind: o.Detail})
	h.Timer("latchkey.outbox").Record(d.Lag)
	if !i.Asked.IsZero() && !i.Settled.IsZero() {
		h.Timer("latchkey.total").Record(i.Settled.Sub(i.Asked) + d.Lag)
	}
}

func (m *metrics) beat(o Operation, d Done) {
	h := m.of(tags{activityType: o.Info.ActivityType, class: d.Class})
	h.Counter("latchkey.beats").Inc(1)
	h.Timer("latchkey.beat.late").Record(d.Lag)
	if timeout := o.Info.HeartbeatTimeout; timeout > 0 && d.Lag > timeout/3 {
		m.of(tags{activityType: o.Info.ActivityType}).Counter("latchkey.beats.overdue").Inc(1)
	}
}

// metricsWithGauges also writes snapshots.
type metricsWithGauges struct {
	*metrics

	mu    sync.Mutex
	shown map[gauge]bool // in the snapshot before
}

// gauge identifies a group of [Stats].
type gauge struct {
	state               State
	activityType, class string
}

// ObserveStats implements StatsObserver. What a snapshot no longer has becomes
// zero.
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

// Join returns an observer that passes everything on to each of several. A nil
// one is left out.
func Join(observers ...Observer) Observer {
	var all joined
	for _, o := range observers {
		if o != nil && !isNilInterface(o) {
			all = append(all, o)
		}
	}
	return all
}

// joined are several observers.
type joined []Observer

// Blocks reports whether one of them may block.
func (j joined) Blocks() bool {
	return slices.ContainsFunc(j, func(o Observer) bool {
		b, ok := o.(Blocker)
		return !ok || b.Blocks()
	})
}

// Begin begins in the order in which they were joined, and ends in the reverse
// order.
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

// ObserveStats passes a snapshot on to those that want it.
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

// showStats has the observer see a snapshot once per StatsAge, until the function
// that it returns is called. It does nothing without such an observer.
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
