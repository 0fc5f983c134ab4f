package async_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// errStopped is the cause with which a test stops its hub.
var errStopped = errors.New("the test has stopped the hub")

// beatCall is a heartbeat that Temporal has accepted.
type beatCall struct {
	at      time.Time
	token   string
	details string
}

// server is a fake of Temporal's heartbeats for one activity. The test
// configures server before a hub runs, and changes it with set.
type server struct {
	mu      sync.Mutex
	beats   []beatCall
	calls   int // number of Heartbeat calls, including failed ones
	looks   int // number of Describe calls
	details *commonpb.Payloads
	last    time.Time // when the last heartbeat came

	signals  completer.Signals
	slow     time.Duration // how long a heartbeat takes until it has an effect
	beatErr  error
	lookErr  error
	describe func(s *completer.Status)
}

// set changes the state of the fake server.
func (s *server) set(f func(s *server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *server) heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	s.mu.Lock()
	s.calls++
	slow, err := s.slow, s.beatErr
	s.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return completer.Signals{}, ctx.Err()
		}
	}
	if err != nil {
		return completer.Signals{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.details, s.last = details, time.Now()
	s.beats = append(s.beats, beatCall{s.last, string(t.TaskToken), text(details)})
	return s.signals, nil
}

func (s *server) look(_ context.Context, t completer.Target, _ string) (completer.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.lookErr != nil {
		return completer.Status{}, s.lookErr
	}
	status := completer.Status{
		Pending: true, Running: true, Started: t.Started, Details: s.details, LastHeartbeat: s.last,
		CancelRequested: s.signals.CancelRequested, Paused: s.signals.Paused,
	}
	if s.describe != nil {
		s.describe(&status)
	}
	return status, nil
}

// record acts as activity.RecordHeartbeat in the activity's function.
func (s *server) record(details ...any) {
	ps, err := converter.GetDefaultDataConverter().ToPayloads(details...)
	if err != nil {
		panic(err)
	}
	s.set(func(s *server) { s.details, s.last = ps, time.Now() })
}

func (s *server) taken() []beatCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.beats)
}

// made returns how often Heartbeat was called, including failed calls. looked
// returns how often Describe was called.
func (s *server) made() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *server) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// said returns the details of the heartbeats, in their order.
func (s *server) said() string {
	var all []string
	for _, b := range s.taken() {
		all = append(all, b.details)
	}
	return strings.Join(all, " ")
}

// lastSaid returns the details that Temporal has.
func (s *server) lastSaid() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return text(s.details)
}

// text returns the first of the details, or "-" if there are none.
func text(ps *commonpb.Payloads) string {
	if len(ps.GetPayloads()) == 0 {
		return "-"
	}
	return strings.Trim(string(ps.Payloads[0].GetData()), `"`)
}

// newBeatWorld creates a world whose completer reaches a fake of Temporal.
func newBeatWorld(t *testing.T, change ...func(*async.Options)) (*world, *server) {
	t.Helper()
	s := new(server)
	w := newWorld(t, change...)
	w.completer.HeartbeatFunc, w.completer.DescribeFunc = s.heartbeat, s.look
	return w, s
}

// attemptNow returns the n-th attempt, which starts now.
func attemptNow(n int, timeout time.Duration) activity.Info {
	time.Sleep(time.Millisecond) // no two attempts start at the same time
	info := attempt(n)
	info.StartedTime = time.Now()
	info.HeartbeatTimeout = timeout
	return info
}

// startNow runs an attempt that starts now and has the function f.
func (w *world) startNow(n int, timeout time.Duration, o async.StartOptions, f func(ctx context.Context, p async.Pending[Decision]) error) (id string) {
	w.t.Helper()
	err := async.StartAttempt(w.t.Context(), w.hub, attemptNow(n, timeout), o, func(ctx context.Context, p async.Pending[Decision]) error {
		id = p.ID()
		if f == nil {
			return nil
		}
		return f(ctx, p)
	})
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start of attempt %d returned %v, not the bare activity.ErrResultPending", n, err)
	}
	return id
}

// runHub runs a hub until the test ends or stop is called. stop waits for the
// hub.
func runHub(t *testing.T, h *async.Hub) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel(errStopped)
		if err := <-done; !errors.Is(err, errStopped) {
			t.Errorf("Run returned %v, want why it was stopped", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// pass lets time pass, and waits for everything that becomes due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// prober is the external system that a probe asks.
type prober struct {
	mu     sync.Mutex
	asked  []time.Time
	answer func(n int) (any, error) // answers the n-th question; called without the lock
}

func (p *prober) ask(context.Context, heartbeat.Activity) (any, error) {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	n, answer := len(p.asked), p.answer
	p.mu.Unlock()
	return answer(n)
}

func (p *prober) set(answer func(n int) (any, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *prober) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// startOther starts an activity with another number, which is handed over at
// once.
func (w *world) startOther(n int, timeout time.Duration, o async.StartOptions) {
	w.t.Helper()
	info := attemptNow(1, timeout)
	info.ActivityID, info.TaskToken = fmt.Sprint(n), fmt.Appendf(nil, "token-of-%d", n)
	err := async.StartAttempt(w.t.Context(), w.hub, info, o, func(context.Context, async.Pending[Decision]) error { return nil })
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start of activity %d returned %v", n, err)
	}
}
