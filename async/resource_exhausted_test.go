package async_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// While the server has no resources, a hub pauses its claims.
func TestResourceExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 2 })
		for n := range 400 {
			w.startOther(n, 30*time.Second, async.StartOptions{})
		}
		s.beatErr = serviceerror.NewResourceExhausted(0, "too much")
		runHub(t, w.hub)
		pass(12 * time.Second)
		before := s.made()
		pass(10 * time.Second)
		// A claim takes at most four entries. The hub makes one more claim
		// before it knows that it must pause for a second.
		if n := s.made() - before; n < 5 || n > 120 {
			t.Errorf("%d calls in ten seconds of a server that has no resources, want about 8 a second", n)
		}
		s.set(func(s *server) { s.beatErr = nil })
		pass(9 * time.Second)
		if n := len(s.taken()); n < 400 {
			t.Errorf("%d of 400 activities got their beats within 9 s when the server had resources again", n)
		}
	})
}

// The hub also pauses if the server has no resources for outcomes or questions.
// New due entries do not end the pause.
func TestResourceExhaustedByOtherCalls(t *testing.T) {
	for _, name := range []string{"outcomes", "questions"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 2 })
				settler, err := async.New(async.Options{Store: w.store})
				wantNil(t, err)
				for n := range 300 {
					w.startOther(n, 0, async.StartOptions{})
				}
				var calls atomic.Int64
				exhausted := serviceerror.NewResourceExhausted(0, "too much")
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { calls.Add(1); return exhausted }
				s.lookErr = exhausted
				for _, c := range asynctest.Pending(t, settler) {
					if name == "outcomes" {
						p, err := async.Open[Decision](t.Context(), settler, c.ID())
						wantNil(t, err)
						wantNil(t, p.Complete(t.Context(), Decision{}))
					}
				}
				if name == "questions" {
					for e, err := range w.store.List(t.Context()) {
						wantNil(t, err)
						r, err := async.DecodeRecord(e)
						wantNil(t, err)
						r.Deadline, e.Due = time.Now().UnixNano(), time.Now()
						e, err = async.EncodeRecord(e, r)
						wantNil(t, err)
						_, err = w.store.Put(t.Context(), e)
						wantNil(t, err)
					}
				}
				runHub(t, w.hub)
				pass(10 * time.Second)
				if n := int(calls.Load()) + s.looked(); n < 10 || n > 140 {
					t.Errorf("%d calls in ten seconds of a server that has no resources, want about 8 a second", n)
				}
			})
		})
	}
}
