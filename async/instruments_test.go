package async_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/internal/instruments"
)

// TestInstruments plays a run in which every instrument of Metrics is used, and
// compares the instruments and their tags with docs/observability.md.
func TestInstruments(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testInstruments(t, func(o async.Observer) async.Observer { return o }) })
	t.Run("joined", func(t *testing.T) {
		other := inlineObserver{badObserver{func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) { return ctx, nil }}}
		testInstruments(t, func(o async.Observer) async.Observer { return async.Join(o, other) })
	})
}

// otherInstruments are not of a hub's Metrics: the first is of package otel,
// and the application counts the second.
var otherInstruments = []string{"latchkey.stats.age", "latchkey.links"}

func testInstruments(t *testing.T, wrap func(async.Observer) async.Observer) {
	synctest.Test(t, func(t *testing.T) {
		s, fake := playInstruments(t, wrap)
		typ, _ := async.TypeName[Decision]()
		sent, failed := len(fake.taken()), fake.made()-len(fake.taken())
		// The run makes exactly these series. A number is -1 if the jitter of
		// the run decides it.
		counters := map[string]int64{
			"latchkey.asked{activity_type=Approve,class=asked,result_type=" + typ + "}":                    1,
			"latchkey.answers{activity_type=Approve,kind=result,result_type=" + typ + ",verdict=accepted}": 1,
			"latchkey.delivery.tries{activity_type=Approve,class=unavailable,kind=result}":                 1,
			"latchkey.delivery.tries{activity_type=Approve,class=delivered,kind=result}":                   1,
			"latchkey.beats{activity_type=Approve,class=sent}":                                             int64(sent),
			"latchkey.beats{activity_type=Approve,class=failed}":                                           int64(failed),
			"latchkey.beats.overdue{activity_type=Approve}":                                                1,
			"latchkey.hooks{class=failed,hook=Delivered}":                                                  1,
			"latchkey.hooks{class=ok,hook=Delivered}":                                                      1,
			"latchkey.queries{class=ok}":                                                                   1,
			"latchkey.claims{class=ok}":                                                                    -1,
			"latchkey.claims.entries{class=ok}":                                                            -1,
		}
		for name, want := range counters {
			if got := s.shared.counters[name]; got != want && want >= 0 || got == 0 {
				t.Errorf("%s is %d, want %d", name, got, want)
			}
		}
		timers := map[string]int{
			"latchkey.wait{activity_type=Approve,kind=result}":       1,
			"latchkey.outbox{activity_type=Approve,kind=result}":     1,
			"latchkey.total{activity_type=Approve,kind=result}":      1,
			"latchkey.beat.late{activity_type=Approve,class=sent}":   sent,
			"latchkey.beat.late{activity_type=Approve,class=failed}": failed,
			"latchkey.hooks.latency{class=failed,hook=Delivered}":    1,
			"latchkey.hooks.latency{class=ok,hook=Delivered}":        1,
			"latchkey.queries.latency{class=ok}":                     1,
			"latchkey.store{class=ok,operation=get}":                 -1,
			"latchkey.store{class=ok,operation=put}":                 -1,
		}
		for name, want := range timers {
			if got := len(s.shared.timers[name]); got != want && want >= 0 || got == 0 {
				t.Errorf("%s has %d values, want %d", name, got, want)
			}
		}
		if late := slices.Max(s.shared.timers["latchkey.beat.late{activity_type=Approve,class=sent}"]); late < 11*time.Second || late > 15*time.Second {
			t.Errorf("the latest heartbeat was late by %v, want 11 to 15 s, over a third of the timeout and below the half", late)
		}
		if took := s.shared.timers["latchkey.hooks.latency{class=ok,hook=Delivered}"]; len(took) != 1 || took[0] != 2*time.Second {
			t.Errorf("the hook that returned nil took %v, want 2 s", took)
		}
		if took := s.shared.timers["latchkey.queries.latency{class=ok}"]; len(took) != 1 || took[0] != time.Second {
			t.Errorf("the question took %v, want 1 s", took)
		}
		names := slices.Concat(slices.Collect(maps.Keys(s.shared.counters)), slices.Collect(maps.Keys(s.shared.timers)))
		for _, name := range names {
			_, counted := counters[name]
			_, timed := timers[name]
			if !counted && !timed && !strings.HasPrefix(name, "latchkey.store{") {
				t.Errorf("%s is not expected", name)
			}
		}
		compareWithPage(t, slices.Concat(names, slices.Collect(maps.Keys(s.shared.gauges))))
	})
}

// playInstruments plays the life of an activity with a heartbeat that fails, one
// that is late, an outcome that is delivered at the second try, and a hook that
// fails once.
func playInstruments(t *testing.T, wrap func(async.Observer) async.Observer) (*sink, *server) {
	s := newSink()
	var hooks, deliveries atomic.Int32
	w, fake := newBeatWorld(t, func(o *async.Options) {
		o.Observer, o.StatsAge = wrap(async.Metrics(s, async.MetricsOptions{})), time.Second
		o.Hooks.Delivered = func(context.Context, async.Callback) error {
			if hooks.Add(1) == 1 {
				return errors.New("away")
			}
			time.Sleep(2 * time.Second)
			return nil
		}
	})
	w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
		if deliveries.Add(1) == 1 {
			return serviceerror.NewInternal("oops")
		}
		return nil
	}
	w.completer.DescribeFunc = func(ctx context.Context, target completer.Target, mark string) (completer.Status, error) {
		time.Sleep(time.Second)
		return fake.look(ctx, target, mark)
	}
	stop := runHub(t, w.hub)
	id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
	pass(40 * time.Second)
	fake.set(func(s *server) { s.beatErr = serviceerror.NewInternal("oops") })
	pass(15 * time.Second)
	fake.set(func(s *server) { s.beatErr = nil })
	for n := len(fake.taken()); len(fake.taken()) == n; {
		pass(100 * time.Millisecond)
	}
	stop()
	pass(21500 * time.Millisecond) // the next heartbeat was due after 8 to 10 s
	stop = runHub(t, w.hub)
	pass(20 * time.Second)
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	pass(5 * time.Minute)
	stop()
	return s, fake
}

// compareWithPage compares the series of a run with the table of
// docs/observability.md: the same instruments, with the same tags.
func compareWithPage(t *testing.T, series []string) {
	t.Helper()
	instruments.Compare(t, "../docs/observability.md", slices.Values(series), func(name, _ string) bool { return slices.Contains(otherInstruments, name) })
}
