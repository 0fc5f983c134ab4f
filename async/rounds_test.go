package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// The tests below are the rows of the state table.

var errAway = errors.New("server away")

func unavailable(context.Context, completer.Target, completer.Outcome) error { return errAway }

// stumbles is a completer that fails for one outcome. The error does not open a
// breaker.
func stumbles(context.Context, completer.Target, completer.Outcome) error {
	return serviceerror.NewInternal("oops")
}

func TestLaterAttemptAsksAgainWithTheSameID(t *testing.T) {
	w := newWorld(t)
	first := w.start(1, async.StartOptions{})
	second := w.start(2, async.StartOptions{})
	if first == "" || first != second {
		t.Errorf("the callback IDs of two attempts of a round are %q and %q, want the same", first, second)
	}
	if r := w.record(); string(r.TaskToken) != "token-2" || r.Attempt != 2 || r.HandedOffStarted != r.Started {
		t.Errorf("the entry holds token %q of attempt %d, want that of the second, asked", r.TaskToken, r.Attempt)
	}
	wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
	if got := string(w.wantSent(1)[0].Target.TaskToken); got != "token-2" {
		t.Errorf("sent to %q, want token-2", got)
	}
}

func TestEarlierOrSameAttemptChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.start(2, async.StartOptions{})
	before, _ := w.stored()
	for _, n := range []int{2, 1} {
		if id := w.start(n, async.StartOptions{}); id != "" {
			t.Errorf("attempt %d asked, although attempt 2 had", n)
		}
	}
	if after, _ := w.stored(); after.Version != before.Version {
		t.Error("the entry was written")
	}
}

func TestSameAttemptAsksIfTheHandOffIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	w.change(func(r *record.Record) { r.HandedOffStarted = 0 })
	if again := w.start(1, async.StartOptions{}); again != id {
		t.Errorf("asked with %q, want %q", again, id)
	}
}

func TestOnceAsksOncePerRound(t *testing.T) {
	once := async.StartOptions{Once: true}
	w := newWorld(t)
	id := w.start(1, once)
	if again := w.start(2, once); again != "" {
		t.Error("the second attempt asked again")
	}
	if r := w.record(); r.HandedOffStarted != r.Started || string(r.TaskToken) != "token-2" {
		t.Errorf("attempt 2 is not known to have asked: asked %d, started %d", r.HandedOffStarted, r.Started)
	}
	// The process crashed before it wrote Asked, so only the remembered
	// reference shows that the function ran.
	w.change(func(r *record.Record) { r.HandedOffStarted = 0 })
	wantNil(t, w.open(id).Remember(t.Context(), "job-9"))
	if again := w.start(3, once); again != "" {
		t.Error("the third attempt asked again, although a reference is remembered")
	}
	w.change(func(r *record.Record) { r.HandedOffStarted, r.Reference = 0, "" })
	if again := w.start(4, once); again != id {
		t.Error("the fourth attempt didn't ask, although nobody was heard to")
	}
	wantNil(t, w.open(id).Fail(t.Context(), errors.New("no")))
	if next := w.start(5, once); next == "" || next == id {
		t.Errorf("the round after a failure asked with %q, want another ID than %q", next, id)
	}
}

func TestDeliveredFailureBeginsARound(t *testing.T) {
	w := newWorld(t)
	first := w.start(1, async.StartOptions{})
	p := w.open(first)
	wantNil(t, p.Remember(t.Context(), "job-1"))
	declined := errors.New("declined")
	wantNil(t, p.Fail(t.Context(), declined))
	w.wantSent(1)
	second := w.start(2, async.StartOptions{})
	if second == "" || second == first {
		t.Fatalf("the second round has ID %q, want another than %q", second, first)
	}
	if ref := w.open(second).Reference(); ref != "" {
		t.Errorf("the new round has the reference %q of the old one", ref)
	}
	// A sender's retry of the first answer must not fail the second attempt.
	wantNil(t, w.open(first).Fail(t.Context(), declined))
	wantErr(t, w.open(first).Fail(t.Context(), errors.New("another")), async.ErrSettled)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSettled)
	wantErr(t, w.open(first).Remember(t.Context(), "x"), async.ErrSuperseded)
	w.wantState(async.Waiting)
	// A second failure that equals the first one byte for byte is another
	// outcome.
	wantNil(t, w.open(second).Fail(t.Context(), declined))
	w.wantSent(2)
}

func TestRoundsAreForgottenAfterEight(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for n := range 10 {
		ids = append(ids, w.start(n+1, async.StartOptions{}))
		wantNil(t, w.open(ids[n]).Fail(t.Context(), errors.New("no")))
	}
	w.start(11, async.StartOptions{})
	if n := len(w.record().Rounds); n != 8 {
		t.Errorf("%d rounds are kept, want 8", n)
	}
	wantNil(t, w.open(ids[2]).Fail(t.Context(), errors.New("no")))
	_, err := w.hub.Open(t.Context(), ids[1])
	wantErr(t, err, async.ErrNotFound)
}

func TestAnotherTypeBeginsARound(t *testing.T) {
	w := newWorld(t)
	first := w.start(1, async.StartOptions{})
	var second string
	err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(_ context.Context, p async.Pending[int]) error {
		second = p.ID()
		return nil
	})
	if err != activity.ErrResultPending || second == first || second == "" {
		t.Fatalf("the second attempt returned %v and asked with %q", err, second)
	}
	_, err = async.Open[Decision](t.Context(), w.hub, second)
	wantErr(t, err, async.ErrTypeMismatch)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSuperseded)
	n, err := async.Open[int](t.Context(), w.hub, second)
	wantNil(t, err)
	wantNil(t, n.Complete(t.Context(), 7))
}

func TestTypeReplacedBetweenOpenAndComplete(t *testing.T) {
	w := newWorld(t)
	p := w.open(w.start(1, async.StartOptions{}))
	w.change(func(r *record.Record) { r.ResultType = "other" })
	err := p.Complete(t.Context(), Decision{})
	if m, ok := errors.AsType[*async.TypeMismatchError](err); !ok || m.Want != "other" {
		t.Errorf("got %v, want a mismatch with other", err)
	}
	w.wantSent(0)
	w.wantState(async.Waiting)
}

func TestSettledOfAnotherTypeIsNotDelivered(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = unavailable
	first := w.start(1, async.StartOptions{})
	wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
	w.wantState(async.Settled)
	asked := false
	err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[int]) error {
		asked = true
		return nil
	})
	if err != activity.ErrResultPending || !asked {
		t.Fatalf("the second attempt returned %v, asked %v", err, asked)
	}
	w.wantState(async.Waiting)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSuperseded)
	if !strings.Contains(w.logs.String(), "another type") {
		t.Errorf("nobody was told: %s", w.logs)
	}
}

// The outcome was accepted and the reply was lost. The outcome is therefore
// delivered and not dropped.
func TestOutcomeOfAnotherTypeThatHadArrived(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		w.completer.CompleteFunc = unavailable
		mark := ""
		w.completer.DescribeFunc = func(_ context.Context, _ completer.Target, m string) (completer.Status, error) {
			mark = m
			return completer.Status{Pending: true, LastMark: m}, nil
		}
		first := w.start(1, async.StartOptions{})
		wantNil(t, w.open(first).Fail(t.Context(), errors.New("no")))
		asked := ""
		err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(_ context.Context, p async.Pending[int]) error {
			asked = p.ID()
			return nil
		})
		if err != activity.ErrResultPending || asked == "" || asked == first || mark == "" {
			t.Fatalf("Start returned %v, asked with %q, looked for %q", err, asked, mark)
		}
		w.work(w.hub)
		o.want(t, "delivered")
		wantNil(t, w.open(first).Fail(t.Context(), errors.New("no")))
		// While the hub cannot determine whether an outcome had arrived, it
		// drops nothing.
		q, err := async.Open[int](t.Context(), w.hub, asked)
		wantNil(t, err)
		wantNil(t, q.Complete(t.Context(), 7))
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{}, errAway
		}
		err = async.StartAttempt(t.Context(), w.hub, attempt(3), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
		wantErr(t, err, errAway)
		w.wantState(async.Settled)
	})
}

func TestClosedUndelivered(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrOver }
	end := completer.EndTimedOut
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{End: end}, nil
	}
	id := w.start(1, async.StartOptions{})
	err := w.open(id).Complete(t.Context(), Decision{Approved: true})
	wantErr(t, err, async.ErrClosed, async.ErrExpired)
	if info := w.open(id).Info(); info.State != async.Closed || info.Delivered || !errors.Is(info.End, async.ErrExpired) {
		t.Errorf("the callback tells %+v", info)
	}
	wantErr(t, w.open(id).Complete(t.Context(), Decision{Approved: true}), async.ErrClosed)
	if again := w.start(1, async.StartOptions{}); again != "" {
		t.Error("the same attempt asked")
	}
	// The activity was not over. The accepted outcome is delivered, and no
	// function runs.
	w.completer.CompleteFunc = nil
	if again := w.start(2, async.StartOptions{}); again != "" {
		t.Error("the outside was asked again, although it had answered")
	}
	w.wantSent(1)
	wantNil(t, w.open(id).Complete(t.Context(), Decision{Approved: true}))
}

func TestClosedWithoutOutcomeAsksAgain(t *testing.T) {
	w := newWorld(t)
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{End: completer.EndOther}, nil
	}
	first := w.start(1, async.StartOptions{})
	wantErr(t, w.open(first).ReportCanceled(t.Context()), async.ErrClosed, completer.ErrOver)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrClosed)
	second := w.start(2, async.StartOptions{})
	if second == "" || second == first {
		t.Errorf("asked with %q, want an ID of a new round", second)
	}
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSuperseded)
}

func TestSuccessDeliveredIsFinal(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	if again := w.start(2, async.StartOptions{}); again != "" {
		t.Error("a racing attempt asked")
	}
	w.wantSent(1)
}

func TestUnknownStateIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	w.change(func(r *record.Record) { r.State = 99 })
	before, _ := w.stored()
	p := w.open(id)
	for name, err := range map[string]error{
		"complete": p.Complete(t.Context(), Decision{}),
		"cancel":   p.ReportCanceled(t.Context()),
		"start": async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			t.Error("asked")
			return nil
		}),
	} {
		if err == nil || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("%s: %v, want an error that names a newer release", name, err)
		}
	}
	if after, _ := w.stored(); after.Version != before.Version {
		t.Error("the entry was written")
	}
	if s := p.Info().State.String(); s != "state 99" {
		t.Errorf("the state is shown as %q", s)
	}
}

func TestCancellationNeedsARequest(t *testing.T) {
	w := newWorld(t)
	requested := false
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{Pending: true, Running: true, CancelRequested: requested}, nil
	}
	p := w.open(w.start(1, async.StartOptions{}))
	before, _ := w.stored()
	wantErr(t, p.ReportCanceled(t.Context(), "why"), completer.ErrCancelNotRequested)
	if after, _ := w.stored(); after.Version != before.Version {
		t.Error("the refused cancellation changed the entry")
	}
	requested = true
	wantNil(t, p.ReportCanceled(t.Context(), "why"))
	call := w.wantSent(1)[0]
	if call.Outcome.Canceled == nil || len(call.Outcome.Canceled.Payloads) != 1 {
		t.Errorf("sent %v, want a cancellation with one detail", call.Outcome)
	}
	wantNil(t, p.ReportCanceled(t.Context(), "why"))
	wantErr(t, p.ReportCanceled(t.Context(), "other"), async.ErrSettled)
	wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrSettled)
}

func TestCancellationWhileTemporalIsAway(t *testing.T) {
	w := newWorld(t)
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{}, errAway
	}
	p := w.open(w.start(1, async.StartOptions{}))
	err := p.ReportCanceled(t.Context())
	if !errors.Is(err, errAway) || !strings.Contains(err.Error(), "try again") {
		t.Errorf("got %v, want the cause and what to do", err)
	}
	w.wantState(async.Waiting)
}
