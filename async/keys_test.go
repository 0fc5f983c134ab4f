package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

var byKey = async.KeyOptions{Namespace: "default"}

// run returns the first attempt of the activity in the n-th run of a workflow.
func run(workflow string, n int) activity.Info {
	info := attempt(1)
	info.WorkflowExecution.ID = workflow
	info.WorkflowExecution.RunID = string(rune('a' + n))
	info.ScheduledTime = scheduled.Add(time.Duration(n) * time.Hour)
	info.StartedTime = info.ScheduledTime.Add(time.Second)
	info.TaskToken = []byte(workflow + "/" + info.WorkflowExecution.RunID)
	return info
}

// keyedStart starts an activity with the key "order-7".
func (w *world) keyedStart(info activity.Info, o async.StartOptions) (id string, err error) {
	w.t.Helper()
	o.Key = "order-7"
	err = async.StartAttempt(w.t.Context(), w.hub, info, o, func(_ context.Context, p async.Pending[Decision]) error {
		id = p.ID()
		return nil
	})
	return id, err
}

func (w *world) mustKeyed(info activity.Info) string {
	w.t.Helper()
	id, err := w.keyedStart(info, async.StartOptions{})
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start returned %v", err)
	}
	return id
}

func (w *world) openKey(o async.KeyOptions) async.Pending[Decision] {
	w.t.Helper()
	p, err := async.OpenKey[Decision](w.t.Context(), w.hub, "order-7", o)
	wantNil(w.t, err)
	return p
}

// describes sets Temporal's answer about every activity.
func (w *world) describes(s completer.Status) {
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) { return s, nil }
}

func TestOpenKey(t *testing.T) {
	w := newWorld(t)
	_, err := async.OpenKey[Decision](t.Context(), w.hub, "order-7", byKey)
	wantErr(t, err, async.ErrNotFound)
	id := w.mustKeyed(run("w", 0))
	if len(id) != 44 {
		t.Errorf("the callback ID has %d characters, want 44", len(id))
	}
	p := w.openKey(byKey)
	if p.ID() != id || p.Info().Key != "order-7" {
		t.Errorf("opened %v with %+v", p, p.Info())
	}
	_, err = async.OpenKey[int](t.Context(), w.hub, "order-7", byKey)
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.OpenKey[any](t.Context(), w.hub, "order-7", byKey)
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.OpenKey[Decision](t.Context(), nil, "order-7", byKey)
	wantErr(t, err, async.ErrNotFound)
	for what, f := range map[string]func() error{
		"empty": func() error {
			_, err := async.OpenKey[Decision](t.Context(), w.hub, "", byKey)
			return err
		},
		"long": func() error {
			_, err := async.OpenKey[Decision](t.Context(), w.hub, strings.Repeat("x", 2000), byKey)
			return err
		},
		"no namespace": func() error {
			_, err := async.OpenKey[Decision](t.Context(), w.hub, "order-7", async.KeyOptions{})
			return err
		},
		"other namespace": func() error {
			_, err := async.OpenKey[Decision](t.Context(), w.hub, "order-7", async.KeyOptions{Namespace: "second"})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	wantNil(t, p.Complete(t.Context(), Decision{}))
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	w.wantSent(1)
}

func TestLaterRunTakesTheKeyOver(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		w := newWorld(t)
		first := w.mustKeyed(run("w", 0))
		w.describes(completer.Status{End: completer.EndOther})
		if second := w.mustKeyed(run("w", 1)); second != first {
			t.Error("the round changed, although nobody had answered")
		}
		wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
		if got := string(w.wantSent(1)[0].Target.TaskToken); got != "w/b" {
			t.Errorf("sent to %q, want the later run", got)
		}
	})
	t.Run("still pending", func(t *testing.T) {
		w := newWorld(t)
		w.mustKeyed(run("w", 0))
		w.describes(completer.Status{Pending: true})
		_, err := w.keyedStart(run("w", 1), async.StartOptions{})
		wantErr(t, err, async.ErrKeyInUse)
	})
	t.Run("earlier", func(t *testing.T) {
		w := newWorld(t)
		w.mustKeyed(run("w", 1))
		_, err := w.keyedStart(run("w", 0), async.StartOptions{})
		wantErr(t, err, async.ErrKeyInUse)
	})
	t.Run("not known", func(t *testing.T) {
		w := newWorld(t)
		w.mustKeyed(run("w", 0))
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{}, errAway
		}
		_, err := w.keyedStart(run("w", 1), async.StartOptions{})
		wantErr(t, err, errAway)
	})
	t.Run("once", func(t *testing.T) {
		w := newWorld(t)
		once := async.StartOptions{Once: true}
		first, _ := w.keyedStart(run("w", 0), once)
		w.describes(completer.Status{End: completer.EndOther})
		if again, err := w.keyedStart(run("w", 1), once); again != "" || err != activity.ErrResultPending {
			t.Errorf("asked again with %q: %v", again, err)
		}
		wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
	})
	// An outcome belongs to the activity for which it was accepted. A later run
	// asks again, and a hook reports what happened to the outcome.
	for name, c := range map[string]struct {
		end    completer.End
		told   string
		why    error
		repeat error
	}{
		"settled, undelivered": {completer.EndOther, "over", completer.ErrOver, async.ErrSuperseded},
		"settled, timed out":   {completer.EndTimedOut, "over", async.ErrExpired, async.ErrSuperseded},
		"settled, delivered":   {completer.EndOurs, "delivered", nil, nil},
		"settled, unknown":     {completer.EndUnknown, "over", async.ErrUnknownEnd, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w, o := hooked(t)
				w.completer.CompleteFunc = unavailable
				first := w.mustKeyed(run("w", 0))
				wantNil(t, w.open(first).Complete(t.Context(), Decision{Approved: true}))
				w.completer.CompleteFunc = nil
				w.describes(completer.Status{End: c.end})
				if second := w.mustKeyed(run("w", 1)); second == "" || second == first {
					t.Errorf("the later run asked with %q", second)
				}
				w.work(w.hub)
				o.want(t, c.told)
				wantErr(t, o.why, c.why)
				// A repeat by the old sender does not affect the new round.
				wantErr(t, w.open(first).Complete(t.Context(), Decision{Approved: true}), c.repeat)
				w.wantSent(0)
			})
		})
	}
	t.Run("settled, buffered", func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		wantNil(t, w.open(w.mustKeyed(run("w", 0))).Complete(t.Context(), Decision{}))
		w.describes(completer.Status{End: completer.EndBuffered})
		_, err := w.keyedStart(run("w", 1), async.StartOptions{})
		wantErr(t, err, async.ErrKeyInUse)
		w.wantState(async.Settled)
	})
	t.Run("settled cancellation", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			w.describes(completer.Status{Pending: true, Running: true, CancelRequested: true})
			w.completer.CompleteFunc = unavailable
			first := w.mustKeyed(run("w", 0))
			wantNil(t, w.open(first).ReportCanceled(t.Context()))
			w.describes(completer.Status{End: completer.EndTimedOut})
			if second := w.mustKeyed(run("w", 1)); second == "" || second == first {
				t.Errorf("the later run, whose cancellation nobody has requested, asked with %q", second)
			}
			w.work(w.hub)
			o.want(t, "over")
			wantErr(t, o.why, async.ErrExpired)
		})
	})
	t.Run("closed", func(t *testing.T) {
		w := newWorld(t)
		first := w.mustKeyed(run("w", 0))
		wantNil(t, w.open(first).Complete(t.Context(), Decision{Approved: true}))
		second := w.mustKeyed(run("w", 1))
		if second == "" || second == first {
			t.Errorf("the answer of yesterday was given to today's run: asked with %q", second)
		}
		wantNil(t, w.open(first).Complete(t.Context(), Decision{Approved: true}))
		w.wantState(async.Waiting)
	})
}

// An outcome that was never delivered is not accepted when the sender repeats
// it.
func TestRepeatOfWhatWasNeverDelivered(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrOver }
	w.describes(completer.Status{End: completer.EndTimedOut})
	first := w.mustKeyed(run("w", 0))
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrClosed)
	info := run("other", 1)
	w.describes(completer.Status{Pending: true, Running: true, Started: info.StartedTime})
	w.mustKeyed(info)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSuperseded)
}

func TestAnotherWorkflowWaitsForTheKey(t *testing.T) {
	w := newWorld(t)
	first := w.mustKeyed(run("w", 0))
	_, err := w.keyedStart(run("other", 1), async.StartOptions{})
	wantErr(t, err, async.ErrKeyInUse)
	wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
	if id := w.mustKeyed(run("other", 1)); id == "" || id == first {
		t.Errorf("with the key free, the other workflow asked with %q", id)
	}
}

// A slow worker runs an attempt of an activity that had the key before and is
// over.
func TestLateAttemptDoesNotTakeTheKeyBack(t *testing.T) {
	w := newWorld(t)
	wantNil(t, w.open(w.mustKeyed(run("w", 0))).Complete(t.Context(), Decision{}))
	second := w.mustKeyed(run("other", 1))
	wantNil(t, w.open(second).Complete(t.Context(), Decision{}))
	w.describes(completer.Status{End: completer.EndOurs})
	late := run("w", 0)
	if id := w.mustKeyed(late); id != "" {
		t.Error("the activity that is over asked")
	}
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{}, errAway
	}
	_, err := w.keyedStart(late, async.StartOptions{})
	wantErr(t, err, errAway)
	// An activity that was scheduled earlier and still runs may have the key.
	w.describes(completer.Status{Pending: true, Running: true, Started: late.StartedTime})
	if id := w.mustKeyed(late); id == "" {
		t.Error("an activity that runs did not get the free key")
	}
}

func TestEarlyAnswer(t *testing.T) {
	early := async.KeyOptions{Namespace: "default", Early: time.Hour}
	t.Run("delivered by Start", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			p := w.openKey(early)
			if p.ID() != "" || p.Info().State != 0 {
				t.Errorf("nothing is there yet, and it tells %q %+v", p.ID(), p.Info())
			}
			wantErr(t, p.ReportCanceled(t.Context()), completer.ErrCancelNotRequested)
			wantErr(t, p.Remember(t.Context(), "x"), async.ErrNotFound)
			wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
			wantNil(t, w.openKey(early).Complete(t.Context(), Decision{Approved: true}))
			wantErr(t, w.openKey(early).Complete(t.Context(), Decision{}), async.ErrSettled)
			w.wantSent(0)
			if id := w.mustKeyed(run("w", 0)); id != "" {
				t.Error("the outside was asked, although it had answered")
			}
			w.wantSent(1)
			w.work(w.hub)
			o.want(t, "delivered")
		})
	})
	t.Run("only a result", func(t *testing.T) {
		w := newWorld(t)
		for name, err := range map[string]error{
			"fail":   w.openKey(early).Fail(t.Context(), errors.New("no")),
			"reject": w.openKey(early).Reject(t.Context(), errors.New("no")),
		} {
			if wantErr(t, err, async.ErrNotFound); err != nil && !strings.Contains(err.Error(), "only a result may come before its activity") {
				t.Errorf("%s: %v, want an error that says what may come early", name, err)
			}
		}
		if id := w.mustKeyed(run("w", 0)); id == "" {
			t.Error("the function did not run, although no result came early")
		}
		w.wantSent(0)
		wantNil(t, w.openKey(early).Reject(t.Context(), errors.New("no")))
		w.wantSent(1)
	})
	t.Run("of another type", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			p, err := async.OpenKey[int](t.Context(), w.hub, "order-7", early)
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), 7))
			if id := w.mustKeyed(run("w", 0)); id == "" {
				t.Error("nobody was asked")
			}
			w.work(w.hub)
			o.want(t, "over")
			wantErr(t, o.why, async.ErrTypeMismatch)
			w.wantSent(0)
		})
	})
	t.Run("whose activity doesn't come", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			wantNil(t, w.openKey(early).Complete(t.Context(), Decision{}))
			time.Sleep(59 * time.Minute)
			w.work(w.hub)
			o.want(t)
			time.Sleep(time.Minute)
			w.work(w.hub)
			o.want(t, "over")
			wantErr(t, o.why, async.ErrExpired)
			if id := w.mustKeyed(run("w", 0)); id == "" {
				t.Error("an expired answer was used")
			}
		})
	})
	t.Run("after the end", func(t *testing.T) {
		w := newWorld(t)
		first := w.mustKeyed(run("w", 0))
		wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
		wantNil(t, w.openKey(early).Complete(t.Context(), Decision{}))
		wantErr(t, w.openKey(early).Complete(t.Context(), Decision{Approved: true}), async.ErrSettled)
	})
}

// Only an idempotency key distinguishes a repeat for an older round from an
// answer to this round.
func TestIdempotencyKeyAcrossRounds(t *testing.T) {
	w := newWorld(t)
	w.mustKeyed(run("w", 0))
	first := async.WithIdempotencyKey(t.Context(), "message-1")
	wantNil(t, w.openKey(byKey).Complete(first, Decision{Approved: true}))
	w.mustKeyed(run("w", 1))
	wantNil(t, w.openKey(byKey).Complete(first, Decision{Approved: true}))
	w.wantState(async.Waiting)
	w.wantSent(1)
	wantNil(t, w.openKey(byKey).Complete(async.WithIdempotencyKey(t.Context(), "message-2"), Decision{Approved: true}))
	w.wantSent(2)
}
