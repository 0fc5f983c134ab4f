package otel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/latchkey-go/latchkey/async"
)

// Histogram buckets, in seconds. The buckets for the time that people take
// range from one second to 30 days. Those for calls range from a millisecond to
// a minute.
var (
	peopleBuckets = []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 4 * 86400, 7 * 86400, 14 * 86400, 30 * 86400}
	callBuckets   = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
)

// instruments are the instruments in docs/observability.md, except the gauges.
type instruments struct {
	asked, answers, tries, beats, overdue, hooks, queries, claims, claimed metric.Int64Counter
	wait, outbox, total, late, store, hookTime, queryTime                  metric.Float64Histogram
}

func newInstruments(m metric.Meter) (*instruments, error) {
	var i instruments
	var all error
	counter := func(to *metric.Int64Counter, name, unit, what string) {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		*to, all = c, errors.Join(all, err)
	}
	seconds := func(to *metric.Float64Histogram, name, what string, buckets []float64) {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(buckets...))
		*to, all = h, errors.Join(all, err)
	}
	counter(&i.asked, "latchkey.asked", "{handoff}", "Calls of Start.")
	counter(&i.answers, "latchkey.answers", "{answer}", "Outcomes that were offered, by verdict.")
	counter(&i.tries, "latchkey.delivery.tries", "{try}", "Tries to report an outcome to Temporal.")
	counter(&i.beats, "latchkey.beats", "{heartbeat}", "Heartbeats.")
	counter(&i.overdue, "latchkey.beats.overdue", "{heartbeat}", "Heartbeats that were late by more than a third of their timeout.")
	counter(&i.hooks, "latchkey.hooks", "{call}", "Calls of hooks.")
	counter(&i.queries, "latchkey.queries", "{call}", "Questions to Temporal about activities.")
	counter(&i.claims, "latchkey.claims", "{claim}", "Claims of due entries.")
	counter(&i.claimed, "latchkey.claims.entries", "{entry}", "Entries that were claimed.")
	seconds(&i.wait, "latchkey.wait", "Time from hand-off to acceptance of the outcome.", peopleBuckets)
	seconds(&i.outbox, "latchkey.outbox", "Time from acceptance to delivery.", peopleBuckets)
	seconds(&i.total, "latchkey.total", "Time from hand-off to delivery.", peopleBuckets)
	seconds(&i.late, "latchkey.beat.late", "How late heartbeats were sent.", callBuckets)
	seconds(&i.store, "latchkey.store", "Time of a read or write of an entry.", callBuckets)
	seconds(&i.hookTime, "latchkey.hooks.latency", "Time of a hook.", callBuckets)
	seconds(&i.queryTime, "latchkey.queries.latency", "Time of a question to Temporal.", callBuckets)
	return &i, all
}

// tags returns attributes from pairs of key and value. tags leaves out empty
// values.
func tags(pairs ...string) metric.MeasurementOption {
	all := make([]attribute.KeyValue, 0, len(pairs)/2)
	for n := 0; n+1 < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			all = append(all, attribute.String(pairs[n], pairs[n+1]))
		}
	}
	return metric.WithAttributeSet(attribute.NewSet(all...))
}

func (i *instruments) handOff(ctx context.Context, o async.Operation, d async.Done) {
	i.asked.Add(ctx, 1, tags("activity_type", o.Info.ActivityType, "result_type", o.Info.ResultType, "class", d.Class))
}

func (i *instruments) settle(ctx context.Context, o async.Operation, d async.Done) {
	i.answers.Add(ctx, 1, tags("activity_type", d.Info.ActivityType, "result_type", d.Info.ResultType, "kind", o.Detail, "verdict", d.Class))
	if d.Class == async.ClassAccepted && d.Lag > 0 {
		i.wait.Record(ctx, d.Lag.Seconds(), tags("activity_type", d.Info.ActivityType, "kind", o.Detail))
	}
}

func (i *instruments) deliver(ctx context.Context, o async.Operation, d async.Done) {
	i.tries.Add(ctx, 1, tags("activity_type", d.Info.ActivityType, "kind", o.Detail, "class", d.Class))
	if d.Class != async.ClassDelivered {
		return
	}
	about := tags("activity_type", d.Info.ActivityType, "kind", o.Detail)
	i.outbox.Record(ctx, d.Lag.Seconds(), about)
	if !d.Info.Asked.IsZero() && !d.Info.Settled.IsZero() {
		i.total.Record(ctx, (d.Info.Settled.Sub(d.Info.Asked) + d.Lag).Seconds(), about)
	}
}

// other observes the operations that have no span.
func (i *instruments) other(ctx context.Context, o async.Operation, d async.Done, took time.Duration) {
	switch o.Op {
	case async.OpBeat:
		about := tags("activity_type", o.Info.ActivityType, "class", d.Class)
		i.beats.Add(ctx, 1, about)
		i.late.Record(ctx, d.Lag.Seconds(), about)
		if timeout := o.Info.HeartbeatTimeout; timeout > 0 && d.Lag > timeout/3 {
			i.overdue.Add(ctx, 1, tags("activity_type", o.Info.ActivityType))
		}
	case async.OpNotify:
		i.hooks.Add(ctx, 1, tags("hook", o.Detail, "class", d.Class))
		i.hookTime.Record(ctx, took.Seconds(), tags("hook", o.Detail, "class", d.Class))
	case async.OpQuery:
		i.queries.Add(ctx, 1, tags("class", d.Class))
		i.queryTime.Record(ctx, took.Seconds(), tags("class", d.Class))
	case async.OpClaim:
		i.claims.Add(ctx, 1, tags("class", d.Class))
		i.claimed.Add(ctx, int64(d.Count), tags("class", d.Class))
	case async.OpStore:
		i.store.Record(ctx, took.Seconds(), tags("operation", o.Detail, "class", d.Class))
	}
}

// LinkKeys returns a function for the field Used of webhook.Keys. The function
// counts opened links by the name of their key in latchkey.links. A nil
// provider stands for otel.GetMeterProvider.
func LinkKeys(p metric.MeterProvider) (func(key string), error) {
	if p == nil {
		p = otel.GetMeterProvider()
	}
	links, err := p.Meter(name).Int64Counter("latchkey.links", metric.WithUnit("{link}"), metric.WithDescription("Sealed links that were opened."))
	if err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return func(key string) { links.Add(context.Background(), 1, tags("key", key)) }, nil
}

// gauges show the last snapshot of a store. All gauges are read at once, so
// that they are consistent.
type gauges struct {
	mu   sync.Mutex
	last async.Stats
}

func newGauges(m metric.Meter) (*gauges, error) {
	g := new(gauges)
	entries, err1 := m.Int64ObservableGauge("latchkey.entries", metric.WithUnit("{entry}"), metric.WithDescription("Entries in the store, as each replica sees them: use max, never sum."))
	oldest, err2 := m.Float64ObservableGauge("latchkey.oldest", metric.WithUnit("s"), metric.WithDescription("Age of the oldest entry of a group."))
	unreadable, err3 := m.Int64ObservableGauge("latchkey.unreadable", metric.WithUnit("{entry}"), metric.WithDescription("Entries that could not be read."))
	age, err4 := m.Float64ObservableGauge("latchkey.stats.age", metric.WithUnit("s"), metric.WithDescription("Age of the snapshot."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	_, err := m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		g.mu.Lock()
		s := g.last
		g.mu.Unlock()
		if s.At.IsZero() {
			return nil
		}
		for _, group := range s.Groups {
			about := tags("state", group.State.String(), "activity_type", group.ActivityType, "class", group.Class)
			to.ObserveInt64(entries, int64(group.Entries), about)
			to.ObserveFloat64(oldest, max(0, time.Since(group.Oldest)).Seconds(), about)
		}
		to.ObserveInt64(unreadable, int64(s.Unreadable))
		to.ObserveFloat64(age, time.Since(s.At).Seconds())
		return nil
	}, entries, oldest, unreadable, age)
	return g, err
}

// ObserveStats implements async.StatsObserver.
func (g *gauges) ObserveStats(s async.Stats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = s
}
