package answers

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

// The server is killed before the answer, and restarts after the client has
// given up: Run delivers the answer to the waiting attempt.
func TestServerAwayThenRunDelivers(t *testing.T) {
	t.Parallel()
	ctx := rig.Context(t)
	s, c, o := ownServer(t)
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	must(t, err)
	hooks := newTellings()
	options := async.Options{Store: store.NewMemory(), Completer: reporter}
	running(hooks)(&options)
	hub, err := async.New(options)
	must(t, err)
	r, ids := handingOver(t, c, o, hub)
	runHub(t, hub)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	p, err := async.Open[Decision](ctx, hub, <-ids)
	must(t, err)
	s.Kill()
	must(t, p.Complete(ctx, approved))
	rig.Eventually(t, "two tries in vain", func() bool {
		settled, err := hub.Open(ctx, p.ID())
		must(t, err)
		i := settled.Info()
		if i.State != async.Settled {
			t.Fatalf("the callback is %v, want settled: %+v", i.State, i)
		}
		return i.Deliveries >= 2
	})
	must(t, s.Restart(ctx))
	var got Decision
	if err := run.Get(rig.Context(t), &got); err != nil || got != approved {
		t.Errorf("the workflow read %+v, %v", got, err)
	}
	hooks.next(t, "delivered", p.Callback, nil)
	r.None()
	if info.Attempt != 1 {
		t.Errorf("it was attempt %d, want 1", info.Attempt)
	}
}

// One hub only accepts answers, as in a process without access to Temporal;
// another hub delivers them.
func TestHubThatSettlesOnly(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	settling := w.another(func(o *async.Options) { o.Completer = nil })
	if _, err := settling.Work(w.Context()); err == nil {
		t.Error("Work of a hub without a completer returned nil")
	}
	if err := settling.Run(w.Context()); err == nil {
		t.Error("Run of a hub without a completer returned nil")
	}
	run := w.Start(awaitDecision, patient())
	p, err := async.Open[Decision](w.Context(), settling, w.next().ID())
	must(t, err)
	wantErr(t, p.ReportCanceled(w.Context()), completer.ErrCancelNotRequested)
	must(t, p.Complete(w.Context(), approved))
	must(t, p.Complete(w.Context(), approved))
	wantErr(t, p.Reject(w.Context(), errBroken), async.ErrSettled)
	w.wantState(p, async.Settled)
	w.wantPending(run, 1)
	w.run()
	w.wantResult(run, approved)
	hooks.next(t, "delivered", p.Callback, nil)
	must(t, p.Complete(w.Context(), approved))
}

// Work does the due work, and returns.
func TestWorkDeliversWhatIsDue(t *testing.T) {
	w := newWorld(t, config{})
	settling := w.another(func(o *async.Options) { o.Completer = nil })
	run := w.Start(awaitDecision, patient())
	p, err := async.Open[Decision](w.Context(), settling, w.next().ID())
	must(t, err)
	if n, err := w.hub.Work(w.Context()); n != 0 || err != nil {
		t.Errorf("Work did %d, %v while nothing was due", n, err)
	}
	must(t, p.Complete(w.Context(), approved))
	if n, err := w.hub.Work(w.Context()); n != 1 || err != nil {
		t.Errorf("Work did %d, %v, want 1", n, err)
	}
	w.wantState(p, async.Closed)
	w.wantResult(run, approved)
}

// The hub that settles dies before it delivers. The claim of that hub expires,
// and another hub delivers.
func TestSettlerDies(t *testing.T) {
	w := newWorld(t, config{hub: running(nil)})
	run := w.Start(awaitDecision, patient())
	id := w.next().ID()
	dead := w.another(func(o *async.Options) { o.Completer = stuck{w.completer} })
	p, err := async.Open[Decision](w.Context(), dead, id)
	must(t, err)
	ctx, die := context.WithCancel(w.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Complete(ctx, approved) })
	w.becomes(w.open(id), async.Settled)
	w.run()
	w.wantResult(run, approved)
	w.becomes(w.open(id), async.Closed)
	die()
	wg.Wait()
	if i := w.open(id).Info(); i.State != async.Closed || !i.Delivered {
		t.Errorf("the late settler left %+v", i)
	}
}

// stuck is a completer whose calls hang until the caller gives up.
type stuck struct{ completer.Completer }

func (stuck) Complete(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
	<-ctx.Done()
	return ctx.Err()
}

// Temporal accepts the completion while a workflow task runs, and the reply is
// lost. Run finds the evidence when the event is written.
func TestBufferedEventIsFoundByRun(t *testing.T) {
	inTask, release := make(chan struct{}), make(chan struct{})
	hooks := newTellings()
	w := newWorld(t, config{register: busy(inTask, release), hub: running(hooks)})
	run := w.Start("busy")
	p := w.next()
	must(t, w.Client.SignalWorkflow(w.Context(), run.GetID(), run.GetRunID(), "work", nil))
	awaitClosed(t, inTask)
	w.completer.set(false, func(error) error { return completer.ErrOver })
	must(t, p.Complete(w.Context(), approved))
	w.run()
	rig.Eventually(t, "another look finds no event", func() bool {
		info := w.wantState(p, async.Settled)
		return info.Deliveries >= 2 && info.LastError == "ended, not yet in history"
	})
	hooks.none(t)
	close(release)
	w.wantResult(run, approved)
	hooks.next(t, "delivered", p.Callback, nil)
	if info := w.wantState(p, async.Closed); !info.Delivered {
		t.Errorf("the callback tells %+v, want that it was delivered", info)
	}
}

// Temporal accepts a failure, and the reply is lost: Run finds that the failure
// ended its attempt, and fails no other attempt.
func TestLostReplyToAFailureIsFoundByRun(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	w.completer.set(false, lose)
	must(t, p.Fail(w.Context(), errBroken))
	w.completer.set(false, nil)
	w.wantState(p, async.Settled)
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	w.run()
	hooks.next(t, "delivered", p.Callback, nil)
	w.wantState(p, async.Closed)
	w.wantPending(run, 2)
	must(t, p.Fail(w.Context(), errBroken)) // the sender repeats its answer
	w.wantPending(run, 2)
}

// At the end of the activity, the event of the last attempt's start contains
// the failure of the attempt before.
func TestLostReplyToAFailureIsFoundInHistory(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	o := patient()
	o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: brief, MaximumAttempts: 2}
	run := w.Start(awaitDecision, o)
	first := w.next()
	w.completer.set(false, lose)
	must(t, first.Fail(w.Context(), errBroken))
	w.completer.set(true, nil) // the second attempt is the last one, and cannot reach Temporal
	if err := run.Get(w.Context(), nil); err == nil {
		t.Fatal("the workflow has a result")
	}
	w.completer.set(false, nil)
	w.run()
	hooks.next(t, "delivered", first.Callback, nil)
	if info := w.wantState(first, async.Closed); !info.Delivered {
		t.Errorf("the callback tells %+v, want that it was delivered", info)
	}
}

// The result is sent with the token of an ended attempt while the next attempt
// runs.
func TestResultReachesTheNextAttempt(t *testing.T) {
	g := newGate()
	w := newWorld(t, config{register: g.register})
	run := w.Start("gated")
	p := w.next()
	awaitClosed(t, g.in)
	// The second attempt's worker has its task, and has not called Start.
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.wantState(p, async.Closed)
	close(g.release) // now the second attempt calls Start
	awaitClosed(t, g.out)
	w.none()
	if err := g.err.Load(); err != activity.ErrResultPending {
		t.Errorf("the late Start returned %v, want ErrResultPending", err)
	}
	w.wantState(p, async.Closed)
}

// 1,000 callers in two hubs give two different answers: one answer is accepted.
func TestThousandCallersOfTwoHubs(t *testing.T) {
	patiently := func(o *async.Options) { o.ClaimTime = time.Minute } // no claim expires, however busy the machine is
	w := newWorld(t, config{hub: patiently})
	hubs := []*async.Hub{w.hub, w.another(patiently)}
	run := w.Start(awaitDecision, patient())
	id := w.next().ID()
	answers := []Decision{approved, {By: "Bob"}}
	var accepted [2]atomic.Int32
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			p, err := async.Open[Decision](w.Context(), hubs[i/2%2], id)
			if err == nil {
				err = p.Complete(w.Context(), answers[i%2])
			}
			if err == nil {
				accepted[i%2].Add(1)
			} else if !errors.Is(err, async.ErrSettled) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var got Decision
	must(t, run.Get(w.Context(), &got))
	for i, d := range answers {
		want := int32(0)
		if d == got {
			want = 500
		}
		if n := accepted[i].Load(); n != want {
			t.Errorf("%d callers were told that %+v was accepted, want %d: the workflow read %+v", n, d, want, got)
		}
	}
	if w.completer.sent != 1 {
		t.Errorf("sent %d times, want once", w.completer.sent)
	}
}

// An ended entry is kept for the retention, and then removed.
func TestEndedEntriesAreRemoved(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: func(o *async.Options) {
		running(hooks)(o)
		o.Retention = time.Second
	}})
	count := func() (n int) {
		for _, err := range w.hub.List(w.Context()) {
			must(t, err)
			n++
		}
		return n
	}
	run := w.Start(awaitDecision, patient())
	p := w.next()
	if n := count(); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.run()
	rig.Eventually(t, "no entry", func() bool { return count() == 0 })
	hooks.next(t, "delivered", p.Callback, nil)
	_, err := async.Open[Decision](w.Context(), w.hub, p.ID())
	wantErr(t, err, async.ErrNotFound)
	wantErr(t, p.Complete(w.Context(), approved), async.ErrNotFound)
}

// A callback ID identifies its round, and no other ID opens the round.
func TestCallbackIDIsACredential(t *testing.T) {
	w := newWorld(t, config{})
	w.Start(awaitDecision, patient())
	p := w.next()
	info := p.Info()
	for name, id := range map[string]string{
		"another secret": p.ID()[:len(p.ID())-22] + "AAAAAAAAAAAAAAAAAAAAAA",
		"no secret":      info.ID,
		"cut":            p.ID()[:len(p.ID())-1],
	} {
		if _, err := async.Open[Decision](w.Context(), w.hub, id); !errors.Is(err, async.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}
