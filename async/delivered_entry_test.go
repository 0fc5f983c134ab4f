package async_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// A delivered entry keeps only the fields that are needed to answer repeats.
func TestDeliveredEntryIsSmall(t *testing.T) {
	w := newWorld(t)
	p := pend[string](t, w)
	wantNil(t, p.Heartbeat(t.Context(), strings.Repeat("d", 1<<20)))
	large := strings.Repeat("x", 1<<20)
	wantNil(t, p.Complete(t.Context(), large))
	w.wantSent(1)
	e, r := w.stored()
	if len(e.Body) >= 512 || len(r.TaskToken) > 0 {
		t.Errorf("%d bytes are left, of which %d are the token, want under 512 and none", len(e.Body), len(r.TaskToken))
	}
	t.Logf("%d bytes are left", len(e.Body))
	wantNil(t, p.Complete(t.Context(), large))
	wantErr(t, p.Complete(t.Context(), "y"), async.ErrSettled)
	_, err := p.Outcome(t.Context())
	wantErr(t, err, async.ErrOutcomeGone)
}

// The payload stays until the Delivered hook has returned nil, because the hook
// may read the payload.
func TestDeliveredHookReadsTheOutcome(t *testing.T) {
	in(t, func(t *testing.T) {
		var read []Decision
		var w *world
		w = newWorld(t, func(o *async.Options) {
			o.Hooks.Delivered = func(ctx context.Context, c async.Callback) error {
				p, err := async.Open[Decision](ctx, w.hub, c.ID())
				if err != nil {
					return err
				}
				a, err := p.Outcome(ctx)
				if err != nil {
					return err
				}
				if read = append(read, a.Result); len(read) == 1 {
					return errors.New("the first time")
				}
				return nil
			}
		})
		p := w.pendFor(time.Hour, async.StartOptions{})
		wantNil(t, p.Complete(t.Context(), Decision{Reason: "why"}))
		w.wantState(async.Closed)
		runHub(t, w.hub)
		pass(time.Minute)
		if len(read) != 2 || read[0].Reason != "why" || read[1].Reason != "why" {
			t.Errorf("the hook has read %+v, want the outcome twice", read)
		}
		_, err := p.Outcome(t.Context())
		wantErr(t, err, async.ErrOutcomeGone)
	})
}

func TestOutcome(t *testing.T) {
	keep := func(o *async.Options) { o.KeepOutcomes = true }
	t.Run("result", func(t *testing.T) {
		w := newWorld(t, keep, tenants)
		p := pend[Decision](t, w)
		_, err := p.Outcome(t.Context())
		wantErr(t, err, async.ErrNoOutcome)
		wantNil(t, p.Complete(t.Context(), Decision{Reason: "why"}))
		w.wantState(async.Closed)
		a, err := p.Outcome(t.Context())
		wantNil(t, err)
		if a.Result.Reason != "why" || a.Failure != nil {
			t.Errorf("the outcome is %+v", a)
		}
		if r := w.record(); len(r.TaskToken) > 0 {
			t.Error("the token is kept")
		}
	})
	t.Run("failure", func(t *testing.T) {
		w := newWorld(t, keep)
		p := pend[Decision](t, w)
		wantNil(t, p.Reject(t.Context(), temporal.NewApplicationError("no", "No", 7)))
		a, err := p.Outcome(t.Context())
		wantNil(t, err)
		var app *temporal.ApplicationError
		n := 0
		if !errors.As(a.Failure, &app) || app.Message() != "no" || app.Type() != "No" || app.Details(&n) != nil || n != 7 || !app.NonRetryable() {
			t.Errorf("the outcome is %+v", a)
		}
	})
	t.Run("cancellation", func(t *testing.T) {
		w := newWorld(t, keep)
		w.completer.DescribeFunc = cancelRequested
		p := pend[Decision](t, w)
		wantNil(t, p.ReportCanceled(t.Context(), "why"))
		a, err := p.Outcome(t.Context())
		wantNil(t, err)
		var canceled *temporal.CanceledError
		why := ""
		if !errors.As(a.Failure, &canceled) || canceled.Details(&why) != nil || why != "why" {
			t.Errorf("the outcome is %+v", a)
		}
	})
	t.Run("none", func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		p := pend[async.None](t, w)
		wantNil(t, p.Complete(t.Context(), async.None{}))
		if a, err := p.Outcome(t.Context()); err != nil || a.Failure != nil {
			t.Errorf("the outcome is %+v, %v", a, err)
		}
	})
	t.Run("undelivered", func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		p := pend[Decision](t, w)
		wantNil(t, p.Complete(t.Context(), Decision{Reason: "why"}))
		wantNil(t, p.Abandon(t.Context()))
		w.wantState(async.Closed)
		a, err := p.Outcome(t.Context())
		wantNil(t, err)
		if a.Result.Reason != "why" {
			t.Errorf("the outcome is %+v", a)
		}
	})
	t.Run("ended without", func(t *testing.T) {
		w := newWorld(t)
		p := pend[Decision](t, w)
		wantNil(t, p.Abandon(t.Context()))
		_, err := p.Outcome(t.Context())
		wantErr(t, err, async.ErrClosed, async.ErrAbandoned)
	})
	t.Run("round over", func(t *testing.T) {
		w := newWorld(t, keep)
		id := w.start(1, async.StartOptions{})
		p := w.open(id)
		wantNil(t, p.Fail(t.Context(), errors.New("no")))
		if again := w.start(2, async.StartOptions{}); again == id || again == "" {
			t.Fatalf("the second attempt asked under %q", again)
		}
		_, err := p.Outcome(t.Context())
		wantErr(t, err, async.ErrOutcomeGone)
	})
	t.Run("zero", func(t *testing.T) {
		_, err := async.Pending[Decision]{}.Outcome(t.Context())
		wantErr(t, err, async.ErrNotFound)
	})
}

// A record of the first release can be read, and shrinks when it is closed.
// This release derives the same entry ID from its activity, and opens the entry
// under the callback ID of the first release.
func TestFirstReleasesRecordsShrink(t *testing.T) {
	for _, name := range []string{"waiting", "settled"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/v0.1-" + name + ".hex")
			wantNil(t, err)
			id, dump, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
			body, err := hex.DecodeString(dump)
			wantNil(t, err)
			w := newWorld(t)
			_, err = w.store.Put(t.Context(), store.Entry{ID: id, Due: time.Unix(1, 0), Body: body})
			wantNil(t, err)
			if _, r := w.stored(); async.EntryID(r) != id {
				t.Errorf("the activity's entry has the ID %s now, and %s in the first release", async.EntryID(r), id)
			}
			p := w.open("01K83Q4CNRqb8flbpCttjkQ9-cT5zvbwJbgvWKX1vRDUnFCM8CTdkQ")
			if name == "waiting" {
				wantNil(t, p.Complete(t.Context(), Decision{Approved: true, Reason: "of the first release"}))
			} else {
				w.change(func(r *record.Record) { r.Delivery.Next = time.Unix(1, 0).UnixNano() }) // due
				w.work(w.hub)
			}
			if got := string(w.wantSent(1)[0].Outcome.Result.GetPayloads()[0].GetData()); !strings.Contains(got, "of the first release") {
				t.Errorf("delivered %q", got)
			}
			w.wantState(async.Closed)
			e, r := w.stored()
			if name == "settled" && len(e.Body) >= len(body) || len(e.Body) >= 512 || len(r.TaskToken) > 0 || len(r.Details) > 0 || len(r.Outcome.Payload) > 0 {
				t.Errorf("%d bytes are left of %d: %v", len(e.Body), len(body), r)
			}
		})
	}
}
