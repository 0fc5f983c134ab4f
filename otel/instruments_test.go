package otel_test

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/internal/instruments"
	"github.com/latchkey-go/latchkey/otel"
	"github.com/latchkey-go/latchkey/store"
)

// TestMetricsHaveNoIDs checks every attribute of every instrument. The test
// also checks the buckets of latchkey.wait, which measures the time of people.
func TestMetricsHaveNoIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, store.NewMemory(), true)
		id := p.run(true)
		time.Sleep(time.Hour)
		pending, err := async.Open[Decision](t.Context(), p.hub, id)
		if err == nil {
			err = pending.Complete(t.Context(), Decision{})
		}
		if err != nil {
			t.Fatal(err)
		}
		info := pending.Info()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = p.hub.Run(ctx) // the gauges need a running hub
		found := make(map[string]bool)
		for _, m := range p.collect() {
			found[m.Name] = true
			var sets []attribute.Set
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Gauge[int64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Gauge[float64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Histogram[float64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
					if b := point.Bounds; m.Name == "latchkey.wait" && (b[0] != 1 || b[len(b)-1] != (30*24*time.Hour).Seconds()) {
						t.Errorf("the buckets of %s are %v, want 1 s to 30 d", m.Name, b)
					}
				}
			default:
				t.Errorf("%s has data of type %T", m.Name, d)
			}
			for _, set := range sets {
				for _, a := range set.ToSlice() {
					for _, no := range []string{id, info.ID, info.WorkflowID, info.RunID, info.ActivityID} {
						if no != "" && a.Value.String() == no {
							t.Errorf("%s has an ID as %s", m.Name, a.Key)
						}
					}
				}
			}
		}
		if len(found) < 10 {
			t.Errorf("only %d instruments were checked", len(found))
		}
	})
}

// TestInstruments plays a run in which every instrument is used, and compares
// the instruments and their tags with docs/observability.md.
func TestInstruments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		points, sent, failed := playInstruments(t)
		typ, _ := async.ResultType[Decision]()
		// The run makes exactly these series. A number of values is -1 if the
		// jitter of the run decides it.
		want := map[string]int64{
			"latchkey.asked{activity_type=Approve,class=asked,result_type=" + typ + "}":                    1,
			"latchkey.answers{activity_type=Approve,kind=result,result_type=" + typ + ",verdict=accepted}": 1,
			"latchkey.delivery.tries{activity_type=Approve,class=unavailable,kind=result}":                 1,
			"latchkey.delivery.tries{activity_type=Approve,class=delivered,kind=result}":                   1,
			"latchkey.wait{activity_type=Approve,kind=result}":                                             1,
			"latchkey.outbox{activity_type=Approve,kind=result}":                                           1,
			"latchkey.total{activity_type=Approve,kind=result}":                                            1,
			"latchkey.beats{activity_type=Approve,class=sent}":                                             sent,
			"latchkey.beats{activity_type=Approve,class=failed}":                                           failed,
			"latchkey.beat.late{activity_type=Approve,class=sent}":                                         sent,
			"latchkey.beat.late{activity_type=Approve,class=failed}":                                       failed,
			"latchkey.beats.overdue{activity_type=Approve}":                                                1,
			"latchkey.hooks{class=failed,hook=Delivered}":                                                  1,
			"latchkey.hooks{class=ok,hook=Delivered}":                                                      1,
			"latchkey.hooks.latency{class=failed,hook=Delivered}":                                          1,
			"latchkey.hooks.latency{class=ok,hook=Delivered}":                                              1,
			"latchkey.queries{class=ok}":                                                                   1,
			"latchkey.queries.latency{class=ok}":                                                           1,
			"latchkey.claims{class=ok}":                                                                    -1,
			"latchkey.claims.entries{class=ok}":                                                            -1,
			"latchkey.links{key=2026-b}":                                                                   1,
		}
		for name, n := range want {
			if got := points[name]; got != n && n >= 0 || got == 0 {
				t.Errorf("%s has %d values, want %d", name, got, n)
			}
		}
		free := regexp.MustCompile(`^latchkey\.(store|entries|oldest|unreadable|stats\.age)\{`) // whose series depend on the moment
		for name := range points {
			if _, ok := want[name]; !ok && !free.MatchString(name) {
				t.Errorf("%s is not expected", name)
			}
		}
		compareWithPage(t, points)
	})
}

// playInstruments plays the life of an activity with a heartbeat that fails,
// one that is late, an outcome that is delivered at the second try, and a hook
// that fails once. points is the number of values by series. sent and failed
// are the numbers of heartbeats that were sent and that failed.
func playInstruments(t *testing.T) (points map[string]int64, sent, failed int64) {
	t.Helper()
	var hooks, deliveries, beats, losses atomic.Int64
	var away atomic.Bool
	p := newProcess(t, store.NewMemory(), true, func(o *async.Options) {
		o.StatsAge = time.Second
		o.Hooks.Delivered = func(context.Context, async.Callback) error {
			if hooks.Add(1) == 1 {
				return errors.New("away")
			}
			return nil
		}
	})
	p.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
		if deliveries.Add(1) == 1 {
			return serviceerror.NewInternal("oops")
		}
		return nil
	}
	p.temporal.HeartbeatFunc = func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
		if away.Load() {
			losses.Add(1)
			return completer.Signals{}, serviceerror.NewInternal("oops")
		}
		beats.Add(1)
		return completer.Signals{}, nil
	}
	links, err := otel.LinkKeys(p.meters)
	if err != nil {
		t.Fatal(err)
	}
	links("2026-b")

	p.run(true) // without a heartbeat timeout
	pending, err := async.Adopt[Decision](t.Context(), p.hub, async.AdoptOptions{Namespace: "default", WorkflowID: "expense-7", ActivityID: "5", TaskToken: []byte("token")})
	if err != nil {
		t.Fatal(err)
	}
	stop := p.runHub()
	time.Sleep(40 * time.Second)
	away.Store(true)
	time.Sleep(15 * time.Second)
	points = p.points()
	away.Store(false)
	time.Sleep(20 * time.Second)
	for n := beats.Load(); beats.Load() == n; {
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	time.Sleep(21500 * time.Millisecond) // the next heartbeat was due after 8 to 10 s; a third of the timeout is 10 s
	stop = p.runHub()
	time.Sleep(20 * time.Second)
	if err := pending.Complete(t.Context(), Decision{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Minute)
	stop()
	maps.Copy(points, p.points())
	return points, beats.Load(), losses.Load()
}

// runHub runs the hub until stop is called.
func (p *process) runHub() (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var all sync.WaitGroup
	all.Go(func() { _ = p.hub.Run(ctx) })
	return func() { cancel(); all.Wait() }
}

// points returns the number of values by series: the sum of a counter, the
// number of values of a histogram, and 1 for a gauge.
func (p *process) points() map[string]int64 {
	p.t.Helper()
	all := make(map[string]int64)
	for _, m := range p.collect() {
		add := func(set attribute.Set, n int64) {
			var tags []string
			for _, a := range set.ToSlice() { // sorted
				tags = append(tags, string(a.Key)+"="+a.Value.String())
			}
			all[m.Name+"{"+strings.Join(tags, ",")+"}"] = n
		}
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, point := range d.DataPoints {
				add(point.Attributes, point.Value)
			}
		case metricdata.Histogram[float64]:
			for _, point := range d.DataPoints {
				add(point.Attributes, int64(point.Count))
			}
		case metricdata.Gauge[int64]:
			for _, point := range d.DataPoints {
				add(point.Attributes, 1)
			}
		case metricdata.Gauge[float64]:
			for _, point := range d.DataPoints {
				add(point.Attributes, 1)
			}
		}
	}
	return all
}

// compareWithPage compares the series of a run with the table of
// docs/observability.md: the same instruments, with the same tags.
func compareWithPage(t *testing.T, points map[string]int64) {
	t.Helper()
	instruments.Compare(t, "../docs/observability.md", maps.Keys(points), func(_, meaning string) bool { return strings.Contains(meaning, "(`async.Metrics`)") })
}
