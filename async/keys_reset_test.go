package async_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// reset returns the activity of run("w", 1) in a run that a workflow reset has
// begun. The new run has the events of the old run, with their times.
func reset(earlier time.Duration) activity.Info {
	info := run("w", 1)
	info.WorkflowExecution.RunID = "reset"
	info.ScheduledTime = info.ScheduledTime.Add(-earlier)
	info.StartedTime = info.StartedTime.Add(time.Minute)
	info.TaskToken = []byte("w/reset")
	return info
}

// describesRuns sets Temporal's answers about the activities of a workflow's
// runs.
func (w *world) describesRuns(runs map[string]completer.Status) {
	w.completer.DescribeFunc = func(_ context.Context, t completer.Target, _ string) (completer.Status, error) {
		if s, is := runs[t.RunID]; is {
			return s, nil
		}
		return completer.Status{Pending: true, Running: true, Started: t.Started}, nil
	}
}

// A run that a reset has begun takes over the key by the rules for later runs.
// Its activity may have the same scheduled time as the activity of the old run,
// or an earlier time.
func TestResetRunTakesTheKeyOver(t *testing.T) {
	complete := func(w *world, id string) {
		wantNil(w.t, w.open(id).Complete(w.t.Context(), Decision{Approved: true}))
	}
	undelivered := func(w *world, id string) {
		w.completer.CompleteFunc = unavailable
		complete(w, id)
		w.completer.CompleteFunc = nil
	}
	for name, c := range map[string]struct {
		before func(w *world, id string)
		end    completer.End // the end of the old run's activity
		asked  bool
		same   bool // round
		sent   []string
	}{
		"waiting":              {func(*world, string) {}, completer.EndOther, true, true, nil},
		"settled, undelivered": {undelivered, completer.EndOther, true, false, nil},
		"settled, delivered":   {undelivered, completer.EndOurs, true, false, nil},
		"closed, delivered":    {complete, completer.EndOurs, true, false, []string{"w/b"}},
	} {
		for when, earlier := range map[string]time.Duration{"scheduled at the same time": 0, "scheduled before": time.Hour} {
			t.Run(name+", "+when, func(t *testing.T) {
				w := newWorld(t)
				first := w.mustKeyed(run("w", 1))
				c.before(w, first)
				w.describesRuns(map[string]completer.Status{"b": {End: c.end}})
				second := w.mustKeyed(reset(earlier))
				if (second != "") != c.asked || c.asked && (second == first) != c.same {
					t.Errorf("the run after the reset asked with %q, and the one before it with %q; want it asked: %t, in the same round: %t", second, first, c.asked, c.same)
				}
				calls := w.wantSent(len(c.sent))
				for i, call := range calls {
					if got := string(call.Target.TaskToken); got != c.sent[i] {
						t.Errorf("outcome %d was sent to %q, want %q", i, got, c.sent[i])
					}
				}
				if c.same { // the callback ID of the old run answers the new one
					wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
					if got := string(w.wantSent(1)[0].Target.TaskToken); got != "w/reset" {
						t.Errorf("the answer was sent to %q, want w/reset", got)
					}
					return
				}
				// A repeat of the old answer does not affect the new round.
				repeat := w.open(first).Complete(t.Context(), Decision{Approved: true})
				if c.end == completer.EndOurs {
					wantNil(t, repeat)
				} else {
					wantErr(t, repeat, async.ErrSuperseded)
				}
				w.wantSent(len(c.sent))
			})
		}
	}
}

// An activity that was not scheduled later takes over the key only in another
// run, and only if Temporal says that its attempt runs. A worker without a
// completer cannot ask Temporal, so it does not take over the key.
func TestResetRunDoesNotTakeTheKeyOver(t *testing.T) {
	over := completer.Status{End: completer.EndOurs}
	waits := func(*world, string) {}
	closed := func(w *world, id string) {
		wantNil(w.t, w.open(id).Complete(w.t.Context(), Decision{}))
		w.wantState(async.Closed)
	}
	sameRun := run("w", 1)
	sameRun.ActivityID = "6"
	sameRunBefore := sameRun
	sameRunBefore.ScheduledTime = sameRunBefore.ScheduledTime.Add(-time.Minute)
	running := completer.Status{Pending: true, Running: true, Started: sameRun.StartedTime}
	for name, c := range map[string]struct {
		info        activity.Info
		runs        map[string]completer.Status
		noCompleter bool
	}{
		"it doesn't run":             {reset(0), map[string]completer.Status{"b": over, "reset": over}, false},
		"another attempt of it runs": {reset(0), map[string]completer.Status{"b": over, "reset": {Pending: true, Running: true, Started: reset(0).StartedTime.Add(time.Minute)}}, false},
		"it is in back-off":          {reset(0), map[string]completer.Status{"b": over, "reset": {Pending: true}}, false},
		"nobody can be asked":        {reset(0), map[string]completer.Status{"b": over}, true},
		"the same run":               {sameRun, map[string]completer.Status{"b": running}, false},
		"the same run, before":       {sameRunBefore, map[string]completer.Status{"b": running}, false},
	} {
		for state, before := range map[string]func(*world, string){"waiting": waits, "closed": closed} {
			t.Run(state+", "+name, func(t *testing.T) {
				w := newWorld(t)
				first := w.mustKeyed(run("w", 1))
				before(w, first)
				sent := len(w.completer.Completed())
				if c.runs["b"].Pending { // the other activity of that run is over nevertheless
					w.completer.DescribeFunc = func(_ context.Context, t completer.Target, _ string) (completer.Status, error) {
						if t.ActivityID != c.info.ActivityID {
							return over, nil
						}
						return running, nil
					}
				} else {
					w.describesRuns(c.runs)
				}
				other := &world{t: t, store: w.store, completer: w.completer, hub: w.hub}
				if c.noCompleter {
					h, err := async.New(async.Options{Store: w.store})
					wantNil(t, err)
					other.hub = h
				}
				old, _ := w.stored()
				id, err := other.keyedStart(c.info, async.StartOptions{})
				wantErr(t, err, async.ErrKeyInUse)
				if now, _ := w.stored(); id != "" || now.Version != old.Version {
					t.Errorf("it asked with %q, and the entry has changed: %t, want neither", id, now.Version != old.Version)
				}
				w.wantSent(sent)
			})
		}
	}
	t.Run("waiting, the old one is pending", func(t *testing.T) {
		w := newWorld(t)
		w.mustKeyed(run("w", 1))
		w.describesRuns(nil)
		_, err := w.keyedStart(reset(0), async.StartOptions{})
		wantErr(t, err, async.ErrKeyInUse)
	})
	t.Run("waiting, it isn't known whether it runs", func(t *testing.T) {
		w := newWorld(t)
		w.mustKeyed(run("w", 1))
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{}, errAway
		}
		_, err := w.keyedStart(reset(0), async.StartOptions{})
		wantErr(t, err, errAway)
	})
}

// A late worker of the old run does not take back the key.
func TestOldRunDoesNotTakeTheKeyBackAfterAReset(t *testing.T) {
	w := newWorld(t)
	first := w.mustKeyed(run("w", 1))
	w.describesRuns(map[string]completer.Status{"b": {End: completer.EndOther}})
	w.mustKeyed(reset(0))
	_, err := w.keyedStart(run("w", 1), async.StartOptions{})
	wantErr(t, err, async.ErrKeyInUse)
	wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
	if got := string(w.wantSent(1)[0].Target.TaskToken); got != "w/reset" {
		t.Errorf("the answer was sent to %q, want w/reset", got)
	}
}
