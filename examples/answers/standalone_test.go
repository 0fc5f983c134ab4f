package answers

import (
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// wantOutcome waits for a standalone activity, and compares its result.
func (w *world) wantOutcome(h client.ActivityHandle, want Decision) {
	w.t.Helper()
	var got Decision
	if err := h.Get(w.Context(), &got); err != nil || got != want {
		w.t.Errorf("the activity's result is %+v, %v, want %+v", got, err, want)
	}
}

// later returns options with which each attempt times out after brief, and the
// next attempt begins an hour later.
func later() client.StartActivityOptions {
	return client.StartActivityOptions{
		StartToCloseTimeout: brief, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Hour},
	}
}

func (w *world) awaitAttempt(h client.ActivityHandle, n int32) {
	w.t.Helper()
	rig.Eventually(w.t, "a later attempt", func() bool { return w.DescribeActivity(h).GetInfo().GetAttempt() == n })
}

func TestStandaloneEndIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(w *world, h client.ActivityHandle)
		want error
	}{
		"expired": {end: func(*world, client.ActivityHandle) {}, want: async.ErrExpired},
		"terminated": {
			end: func(w *world, h client.ActivityHandle) {
				must(w.t, h.Terminate(w.Context(), client.TerminateActivityOptions{Reason: "a test"}))
			},
			want: completer.ErrOver,
		},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks), start: async.StartOptions{Labels: map[string]string{"order": "7"}}})
			h := w.StartActivity(client.StartActivityOptions{ScheduleToCloseTimeout: soon})
			p := w.next()
			must(t, p.Remember(w.Context(), "job 42"))
			c.end(w, h)
			w.run()
			got := hooks.next(t, "over", p.Callback, c.want)
			if got.Reference() != "job 42" || got.Info().Labels["order"] != "7" {
				t.Errorf("the hook was told of reference %q and labels %v", got.Reference(), got.Info().Labels)
			}
			wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, c.want)
		})
	}
}

func TestStandaloneResets(t *testing.T) {
	t.Parallel()
	t.Run("while it runs", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Hour}})
		info := w.Next()
		p := w.next()
		w.Reset(info)
		must(t, p.Fail(w.Context(), errBroken)) // the next attempt begins at once, with number 1
		q := w.next()
		if q.ID() == p.ID() {
			t.Error("the new round has the old callback ID")
		}
		must(t, p.Fail(w.Context(), errBroken)) // the sender repeats its answer
		must(t, q.Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
	})
	t.Run("in back-off", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(later())
		info := w.Next()
		p := w.next()
		w.awaitAttempt(h, 2)
		w.Reset(info)
		q := w.next()
		if q.ID() != p.ID() {
			t.Error("an attempt without an outcome began a round")
		}
		must(t, p.Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
	})
}

func TestStandalonePaused(t *testing.T) {
	t.Parallel()
	t.Run("while it runs", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		info := w.Next()
		p := w.next()
		w.Pause(info)
		must(t, p.Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
	})
	t.Run("and unpaused", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		info := w.Next()
		p := w.next()
		w.Pause(info)
		w.Unpause(info)
		must(t, p.Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
	})
}

// A failure in backoff waits for the next attempt, and ends it.
func TestStandaloneFailureInBackOff(t *testing.T) {
	w := newWorld(t, config{})
	o := later()
	o.RetryPolicy.InitialInterval = brief
	h := w.StartActivity(o)
	p := w.next()
	w.awaitAttempt(h, 2)
	must(t, p.Reject(w.Context(), errBroken))
	if err := h.Get(w.Context(), nil); err == nil {
		t.Error("the activity has a result")
	}
	w.none()
	if i := w.becomes(p, async.Closed); !i.Delivered || i.Attempt != 2 {
		t.Errorf("the callback tells %+v, want that it was delivered to attempt 2", i)
	}
}

// The deadline has been moved, and the hub finds that the activity is still
// pending.
func TestStandaloneDeadlineIsAQuestion(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	pending := make(chan bool, 100)
	w.completer.misjudge(func(s *completer.Status) { pending <- s.Pending })
	h := w.StartActivity(client.StartActivityOptions{ScheduleToCloseTimeout: soon})
	info := w.Next()
	p := w.next()
	w.ExtendScheduleToClose(info, time.Hour)
	w.run()
	select {
	case is := <-pending:
		if !is {
			t.Fatal("the activity is over")
		}
	case <-rig.Context(t).Done():
		t.Fatal("nobody has asked")
	}
	hooks.none(t)
	must(t, p.Complete(w.Context(), approved))
	w.wantOutcome(h, approved)
}

// A later activity with the same ID is a different activity.
func TestStandaloneIDUsedTwice(t *testing.T) {
	w := newWorld(t, config{})
	o := client.StartActivityOptions{ID: "approve-" + w.Queue, ScheduleToCloseTimeout: brief}
	first := w.StartActivity(o)
	p := w.next()
	if err := first.Get(w.Context(), nil); err == nil {
		t.Fatal("the first activity has a result")
	}
	o.ScheduleToCloseTimeout = time.Hour
	second := w.StartActivity(o)
	q := w.next()
	wantErr(t, p.Complete(w.Context(), Decision{By: "late"}), async.ErrClosed, async.ErrExpired)
	must(t, q.Complete(w.Context(), approved))
	w.wantOutcome(second, approved)
}

// Another client completed the activity, and Latchkey's reply was lost. The hub
// does not treat the completion as its own.
func TestStandaloneAnsweredByAnother(t *testing.T) {
	w := newWorld(t, config{})
	h := w.StartActivity(client.StartActivityOptions{})
	info := w.Next()
	p := w.next()
	must(t, w.Client.CompleteActivity(w.Context(), info.TaskToken, Decision{By: "Bob"}, nil))
	err := p.Complete(w.Context(), approved)
	wantErr(t, err, async.ErrClosed, completer.ErrOver)
	if errors.Is(err, async.ErrExpired) {
		t.Errorf("the reason is %v, and it hasn't timed out", err)
	}
	w.wantOutcome(h, Decision{By: "Bob"})
}
