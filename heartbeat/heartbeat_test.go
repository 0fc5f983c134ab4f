package heartbeat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/heartbeat"
)

var last = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func silent(context.Context, heartbeat.Activity) (any, error) { return nil, nil }

// number returns one of many activities that were handed over at the same time.
func number(n int, timeout time.Duration) heartbeat.Activity {
	return heartbeat.Activity{ID: fmt.Sprintf("activity-%04d", n), Timeout: timeout, LastBeat: last}
}

// offsets returns the times from the last beat to the next one, for many
// activities.
func offsets(p heartbeat.Pump, timeout time.Duration) []time.Duration {
	all := make([]time.Duration, 1000)
	for n := range all {
		all[n] = p.Next(number(n, timeout), last).Sub(last)
	}
	return all
}

// wantSpread checks that beats come every d: never late, up to a fifth early,
// and spread over that fifth.
func wantSpread(t *testing.T, all []time.Duration, d time.Duration) {
	t.Helper()
	const parts = 10
	var counts [parts]int
	for n, at := range all {
		early := d - at
		if early < 0 || early >= d/5 {
			t.Fatalf("the beat of activity %d is due %v after the last, want it %v after, at most a fifth early", n, at, d)
		}
		counts[early*parts/(d/5)]++
	}
	for part, n := range counts {
		if n < len(all)/parts/2 || n > len(all)/parts*2 {
			t.Errorf("%d of %d beats fall into part %d of %d of the fifth by which they may be early, want about %d", n, len(all), part, parts, len(all)/parts)
		}
	}
}

func TestIntervals(t *testing.T) {
	keepAlive := func(d time.Duration) heartbeat.Pump {
		return heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: d})
	}
	probe := func(d time.Duration) heartbeat.Pump {
		return heartbeat.Probe(silent, heartbeat.ProbeOptions{Interval: d})
	}
	for name, c := range map[string]struct {
		pump          heartbeat.Pump
		timeout, want time.Duration
	}{
		"KeepAlive, a third":                   {pump: keepAlive(0), timeout: 30 * time.Second, want: 10 * time.Second},
		"KeepAlive, a minute":                  {pump: keepAlive(0), timeout: time.Hour, want: time.Minute},
		"KeepAlive, set":                       {pump: keepAlive(5 * time.Second), timeout: time.Hour, want: 5 * time.Second},
		"KeepAlive, set over a minute":         {pump: keepAlive(5 * time.Minute), timeout: time.Hour, want: 5 * time.Minute},
		"KeepAlive, set over a third":          {pump: keepAlive(5 * time.Minute), timeout: time.Minute, want: 20 * time.Second},
		"KeepAlive, the slow watch":            {pump: keepAlive(10 * time.Minute), timeout: 0, want: 10 * time.Minute},
		"Probe, a third":                       {pump: probe(0), timeout: 30 * time.Second, want: 10 * time.Second},
		"Probe, a minute":                      {pump: probe(0), timeout: time.Hour, want: time.Minute},
		"Probe, set":                           {pump: probe(5 * time.Second), timeout: time.Hour, want: 5 * time.Second},
		"Probe, set over a third":              {pump: probe(5 * time.Minute), timeout: time.Minute, want: 20 * time.Second},
		"Probe, no heartbeat timeout":          {pump: probe(0), timeout: 0, want: time.Minute},
		"Probe, no heartbeat timeout, but set": {pump: probe(10 * time.Minute), timeout: 0, want: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) { wantSpread(t, offsets(c.pump, c.timeout), c.want) })
	}
}

func TestNoHeartbeatTimeout(t *testing.T) {
	if at := heartbeat.KeepAlive(heartbeat.KeepAliveOptions{}).Next(number(1, 0), last); !at.IsZero() {
		t.Errorf("KeepAlive without an interval beats at %v where there is no heartbeat timeout, want never", at)
	}
}

// The beats of one activity must not be equally early each time. Otherwise
// activities that happen to beat together would stay together.
func TestEarlinessChangesFromBeatToBeat(t *testing.T) {
	p := heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})
	a := number(1, time.Minute)
	seen := make(map[time.Duration]bool)
	for range 20 {
		next := p.Next(a, a.LastBeat)
		seen[next.Sub(a.LastBeat)] = true
		a.LastBeat = next
	}
	if len(seen) < 15 {
		t.Errorf("20 beats have %d different distances, want nearly as many", len(seen))
	}
}

// The same arguments give the same time, at any time and for any caller of
// Next.
func TestNextIsPure(t *testing.T) {
	relayed := number(7, time.Minute)
	relayed.Relayed = last.Add(3 * time.Second)
	for name, mk := range map[string]func() heartbeat.Pump{
		"KeepAlive": func() heartbeat.Pump { return heartbeat.KeepAlive(heartbeat.KeepAliveOptions{}) },
		"Probe":     func() heartbeat.Pump { return heartbeat.Probe(silent, heartbeat.ProbeOptions{}) },
		"Relay":     func() heartbeat.Pump { return heartbeat.Relay(heartbeat.RelayOptions{}) },
	} {
		for _, a := range []heartbeat.Activity{number(7, time.Minute), relayed} {
			p, other := mk(), mk() // of another process
			want := p.Next(a, last)
			for _, now := range []time.Time{last, last.Add(time.Second), last.Add(time.Hour), {}} {
				if got := p.Next(a, now); !got.Equal(want) {
					t.Errorf("%s: Next at %v is %v, and was %v before", name, now, got, want)
				}
				if got := other.Next(a, now); !got.Equal(want) {
					t.Errorf("%s: Next in another process is %v, and %v in this one", name, got, want)
				}
			}
		}
	}
}

// Details of the external system are sent at once, but at least a second after the
// last beat.
func TestRelayedIsSentEarly(t *testing.T) {
	pumps := map[string]heartbeat.Pump{
		"KeepAlive": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{}),
		"Probe":     heartbeat.Probe(silent, heartbeat.ProbeOptions{}),
		"Relay":     heartbeat.Relay(heartbeat.RelayOptions{}),
	}
	for name, p := range pumps {
		for brought, want := range map[time.Duration]time.Duration{
			5 * time.Second: 5 * time.Second, time.Second: time.Second,
			100 * time.Millisecond: time.Second, -time.Minute: time.Second,
		} {
			a := number(1, time.Minute)
			a.Relayed = last.Add(brought)
			if got := p.Next(a, last.Add(brought)).Sub(last); got != want {
				t.Errorf("%s: what was brought %v after the last beat is due %v after it, want %v", name, brought, got, want)
			}
		}
	}
	// Callback.Heartbeat does not postpone the regular beat.
	for _, name := range []string{"KeepAlive", "Probe"} {
		a := number(1, time.Minute)
		regular := pumps[name].Next(a, last)
		a.Relayed = last.Add(50 * time.Second)
		if got := pumps[name].Next(a, last); !got.Equal(regular) {
			t.Errorf("%s: the beat is due at %v, want the regular time %v, which is before", name, got, regular)
		}
	}
	a := number(1, 0)
	a.Relayed = last.Add(time.Hour)
	if got := pumps["KeepAlive"].Next(a, last); !got.Equal(a.Relayed) {
		t.Errorf("KeepAlive without a heartbeat timeout sends what was brought at %v, want %v", got, a.Relayed)
	}
}

func TestRelay(t *testing.T) {
	for name, c := range map[string]struct {
		min, timeout, brought, want time.Duration
	}{
		"defaults to a second":         {min: 0, timeout: time.Minute, brought: 0, want: time.Second},
		"set":                          {min: 5 * time.Second, timeout: time.Minute, brought: 2 * time.Second, want: 5 * time.Second},
		"set, long ago":                {min: 5 * time.Second, timeout: time.Minute, brought: 7 * time.Second, want: 7 * time.Second},
		"a third of the timeout":       {min: time.Minute, timeout: 30 * time.Second, brought: 0, want: 10 * time.Second},
		"no heartbeat timeout":         {min: 2 * time.Minute, timeout: 0, brought: time.Second, want: 2 * time.Minute},
		"below zero is as the default": {min: -time.Second, timeout: time.Minute, brought: 0, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p := heartbeat.Relay(heartbeat.RelayOptions{MinInterval: c.min})
			a := number(1, c.timeout)
			if at := p.Next(a, last.Add(time.Hour)); !at.IsZero() {
				t.Errorf("the outside is silent, and a beat is due at %v, want none", at)
			}
			a.Relayed = last.Add(c.brought)
			if got := p.Next(a, last).Sub(last); got != c.want {
				t.Errorf("the beat is due %v after the last, want %v", got, c.want)
			}
		})
	}
}

// Pumps that do not ask send no details of their own: the last details are sent
// again.
func TestBeatsWithoutDetails(t *testing.T) {
	for name, p := range map[string]heartbeat.Pump{
		"KeepAlive": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{}),
		"Relay":     heartbeat.Relay(heartbeat.RelayOptions{}),
	} {
		if b, err := p.Beat(t.Context(), number(1, time.Minute)); err != nil || b != (heartbeat.Beat{}) {
			t.Errorf("%s: Beat is %+v, %v, want one without details, and nil", name, b, err)
		}
	}
}

func TestActivityIsSafeToLog(t *testing.T) {
	a := heartbeat.Activity{ID: "the-callback-id", Type: "Approve", WorkflowID: "expense-7", Reference: "job-42"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		shown := fmt.Sprintf(format, a)
		if strings.Contains(shown, a.ID) {
			t.Errorf("%s shows the callback ID: %s", format, shown)
		}
		if !strings.Contains(shown, a.Type) || !strings.Contains(shown, a.WorkflowID) {
			t.Errorf("%s doesn't tell which activity it is: %s", format, shown)
		}
	}
}
