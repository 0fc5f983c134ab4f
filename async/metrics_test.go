package async_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
)

// sink is a metrics handler in memory.
type sink struct {
	tags   string
	shared *sinkData
}

type sinkData struct {
	mu       sync.Mutex
	counters map[string]int64
	gauges   map[string]float64
	timers   map[string][]time.Duration
}

func newSink() *sink {
	return &sink{shared: &sinkData{counters: make(map[string]int64), gauges: make(map[string]float64), timers: make(map[string][]time.Duration)}}
}

func (s *sink) WithTags(tags map[string]string) client.MetricsHandler {
	parts := []string{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, k+"="+tags[k])
	}
	return &sink{tags: "{" + strings.Join(parts, ",") + "}", shared: s.shared}
}

type (
	counterFunc func(int64)
	gaugeFunc   func(float64)
	timerFunc   func(time.Duration)
)

func (f counterFunc) Inc(n int64)          { f(n) }
func (f gaugeFunc) Update(v float64)       { f(v) }
func (f timerFunc) Record(d time.Duration) { f(d) }
func (s *sink) change(f func(d *sinkData)) {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	f(s.shared)
}
func (s *sink) Counter(n string) client.MetricsCounter {
	return counterFunc(func(by int64) { s.change(func(d *sinkData) { d.counters[n+s.tags] += by }) })
}

func (s *sink) Gauge(n string) client.MetricsGauge {
	return gaugeFunc(func(v float64) { s.change(func(d *sinkData) { d.gauges[n+s.tags] = v }) })
}

func (s *sink) Timer(n string) client.MetricsTimer {
	return timerFunc(func(v time.Duration) {
		s.change(func(d *sinkData) { d.timers[n+s.tags] = append(d.timers[n+s.tags], v) })
	})
}

func (s *sink) series() (n int) {
	s.change(func(d *sinkData) { n = len(d.counters) + len(d.gauges) + len(d.timers) })
	return n
}

// TestMetrics tests Metrics alone, and joined with another observer. For
// Metrics alone, hubs have a shorter path.
func TestMetrics(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testMetrics(t, func(o async.Observer) async.Observer { return o }) })
	t.Run("joined", func(t *testing.T) {
		other := inlineObserver{badObserver{func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) { return ctx, nil }}}
		testMetrics(t, func(o async.Observer) async.Observer { return async.Join(o, other) })
	})
}

func testMetrics(t *testing.T, wrap func(async.Observer) async.Observer) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		w := newWorld(t, func(o *async.Options) { o.Observer = wrap(async.Metrics(s, async.MetricsOptions{})) })
		id := w.start(1, async.StartOptions{})
		time.Sleep(72 * time.Hour)
		p := w.open(id)
		w.completer.CompleteFunc = stumbles
		wantNil(t, p.Complete(t.Context(), Decision{}))
		wantErr(t, p.Complete(t.Context(), Decision{Approved: true}), async.ErrSettled)
		w.completer.CompleteFunc = nil
		time.Sleep(time.Minute)
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)
		typ, _ := async.TypeName[Decision]()
		for name, want := range map[string]int64{
			"latchkey.asked{activity_type=Approve,class=asked,result_type=" + typ + "}":                    1,
			"latchkey.answers{activity_type=Approve,kind=result,result_type=" + typ + ",verdict=accepted}": 1,
			"latchkey.answers{activity_type=Approve,kind=result,result_type=" + typ + ",verdict=settled}":  1,
			"latchkey.delivery.tries{activity_type=Approve,class=unavailable,kind=result}":                 1,
			"latchkey.delivery.tries{activity_type=Approve,class=delivered,kind=result}":                   1,
		} {
			if got := s.shared.counters[name]; got != want {
				t.Errorf("%s is %d, want %d", name, got, want)
			}
		}
		for name, want := range map[string]time.Duration{
			"latchkey.wait{activity_type=Approve,kind=result}":   72 * time.Hour,
			"latchkey.outbox{activity_type=Approve,kind=result}": time.Minute,
			"latchkey.total{activity_type=Approve,kind=result}":  72*time.Hour + time.Minute,
		} {
			if got := s.shared.timers[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if t.Failed() {
			t.Log(slices.Sorted(maps.Keys(s.shared.counters)), slices.Sorted(maps.Keys(s.shared.timers)))
		}
	})
}

// TestMetricsOfABrokenSink: a sink that panics changes no result, and the hub
// logs the panic.
func TestMetricsOfABrokenSink(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(o *async.Options) { o.Observer = async.Metrics(brokenSink{}, async.MetricsOptions{NoGauges: true}) })
		p := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, p.Complete(t.Context(), Decision{}))
		wantErr(t, p.Complete(t.Context(), Decision{Approved: true}), async.ErrSettled)
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)
		w.wantSent(1)
		if logs := w.logs.String(); !strings.Contains(logs, "the observer panicked") || strings.Contains(logs, secretText) {
			t.Errorf("the log is %s", logs)
		}
	})
}

// brokenSink panics.
type brokenSink struct{}

func (b brokenSink) WithTags(map[string]string) client.MetricsHandler { return b }
func (brokenSink) Counter(string) client.MetricsCounter               { panic(secretText) }
func (brokenSink) Gauge(string) client.MetricsGauge                   { panic(secretText) }
func (brokenSink) Timer(string) client.MetricsTimer {
	return timerFunc(func(time.Duration) { panic(secretText) })
}

// TestMetricsSeriesAreBounded: the number of series does not depend on the
// number of activities.
func TestMetricsSeriesAreBounded(t *testing.T) {
	s := newSink()
	w := newWorld(t, func(o *async.Options) { o.Observer = async.Metrics(s, async.MetricsOptions{}) })
	life := func(n int) {
		info := attempt(1)
		info.WorkflowExecution.ID, info.WorkflowExecution.RunID = fmt.Sprint("w", n), fmt.Sprint("r", n)
		id := ""
		err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
		if err != activity.ErrResultPending {
			t.Fatal(err)
		}
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	}
	life(0)
	before := s.series()
	for n := range 10_000 {
		life(n + 1)
	}
	if after := s.series(); after != before || before == 0 {
		t.Errorf("10,000 workflow IDs have made %d series of %d", after, before)
	}
}

func TestGaugesComeFromOneSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		w := newWorld(t, func(o *async.Options) {
			o.Observer = async.Join(nil, async.Metrics(s, async.MetricsOptions{}), async.Metrics(newSink(), async.MetricsOptions{NoGauges: true}))
		})
		id := w.start(1, async.StartOptions{})
		time.Sleep(10 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { _ = w.hub.Run(ctx); close(ended) }()
		time.Sleep(30 * time.Second)
		gauge := func(name string) (v float64, ok bool) {
			s.change(func(d *sinkData) { v, ok = d.gauges[name] })
			return v, ok
		}
		if n, _ := gauge("latchkey.entries{activity_type=Approve,state=waiting}"); n != 1 {
			t.Errorf("%v entries wait, want 1", n)
		}
		if old, _ := gauge("latchkey.oldest{activity_type=Approve,state=waiting}"); old != 600 {
			t.Errorf("the oldest waits for %v s, want 600", old)
		}
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		time.Sleep(time.Minute)
		if n, ok := gauge("latchkey.entries{activity_type=Approve,state=waiting}"); n != 0 || !ok {
			t.Errorf("%v entries wait, want 0", n)
		}
		if n, _ := gauge("latchkey.entries{activity_type=Approve,state=closed}"); n != 1 {
			t.Errorf("%v entries are closed, want 1", n)
		}
		cancel()
		<-ended
	})
}

func TestJoinEndsInReverse(t *testing.T) {
	var order []string
	one := func(name string) async.Observer {
		return inlineObserver{badObserver{func(ctx context.Context, o async.Operation) (context.Context, func(async.Done)) {
			if o.Op != async.OpHandOff {
				return ctx, nil
			}
			order = append(order, "begin "+name)
			return ctx, func(async.Done) { order = append(order, "end "+name) }
		}}}
	}
	w := newWorld(t, func(o *async.Options) { o.Observer = async.Join(one("a"), nil, one("b")) })
	w.start(1, async.StartOptions{})
	if got := strings.Join(order, ", "); got != "begin a, begin b, end b, end a" {
		t.Errorf("the order is %s", got)
	}
}
