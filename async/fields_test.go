package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// TestLogFields checks one log line of each operation that logs a line about an
// entry. All these lines have the same fields, unless the hub could not read
// the entry.
func TestLogFields(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	waits := func(w *world) string { return w.startNow(1, 30*time.Second, async.StartOptions{}, nil) }
	for op, c := range map[string]struct {
		play       func(w *world, fake *server) (id string)
		line       string // part of the line
		class      string
		unreadable bool // the line has only what is known without the record
	}{
		"hand-off": {
			play: func(w *world, _ *server) string {
				return w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
					wantNil(w.t, p.Complete(ctx, Decision{}))
					return errors.New("away")
				})
			},
			line: "the function failed after the answer", class: "failed",
		},
		"deliver": {
			play: func(w *world, _ *server) string {
				id := waits(w)
				w.completer.CompleteFunc = stumbles
				wantNil(w.t, w.open(id).Complete(w.t.Context(), Decision{}))
				return id
			},
			line: "not delivered yet", class: "unavailable",
		},
		"beat": {
			play: func(w *world, fake *server) string {
				fake.set(func(s *server) { s.beatErr = serviceerror.NewInternal("oops") })
				id := waits(w)
				stop := runHub(w.t, w.hub)
				pass(12 * time.Second)
				stop()
				return id
			},
			line: "a heartbeat was not sent", class: "failed",
		},
		"notify": {
			play: func(w *world, _ *server) string {
				id := waits(w)
				wantNil(w.t, w.open(id).Complete(w.t.Context(), Decision{}))
				_, err := w.hub.Work(w.t.Context())
				wantNil(w.t, err)
				return id
			},
			line: "a hook failed", class: "failed",
		},
		"claim": {
			play: func(w *world, _ *server) string {
				id := waits(w)
				e, _ := w.stored()
				e.Body, e.Due = []byte{1, 0xff}, time.Now()
				_, err := w.store.Put(w.t.Context(), e)
				wantNil(w.t, err)
				_, _ = w.hub.Work(w.t.Context())
				return id
			},
			line: "an entry cannot be read", class: "unreadable", unreadable: true,
		},
	} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, fake := newBeatWorld(t, func(o *async.Options) {
					o.Observer = inlineObserver{badObserver{(&recorder{begin: contextWith(parent)}).Begin}}
					o.Hooks.Delivered = func(context.Context, async.Callback) error { return errors.New("away") }
				})
				id := c.play(w, fake)
				line := ""
				for l := range strings.Lines(w.logs.String()) {
					if strings.Contains(l, c.line) {
						line = l
						break
					}
				}
				want := []string{"callback=" + async.ShortID(id), "op=" + op, "class=" + c.class, "error_type="}
				if !c.unreadable {
					want = append(want, "activity_type=Approve", "workflow_id=expense-7", "run_id=run-1", "activity_id=5", "attempt=1", "trace_id=0af7651916cd43dd8448eb211c80319c")
				}
				for _, field := range want {
					if !strings.Contains(line, " "+field) {
						t.Errorf("the line lacks %s: %s", field, line)
					}
				}
				if strings.Contains(w.logs.String(), id) {
					t.Error("the log has a callback ID")
				}
			})
		})
	}
}

// TestLogFieldsOfTheStore: the store has failed, so the line has only what is
// known without the entry.
func TestLogFieldsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: store.NewMemory()}
		w, _ := newBeatWorld(t, func(o *async.Options) { o.Store = s })
		id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		s.put = func(context.Context, store.Entry) (uint64, error) { return 0, errors.New("away") }
		stop := runHub(t, w.hub)
		pass(15 * time.Second)
		stop()
		for _, field := range []string{"callback=" + async.ShortID(id), "op=store", "class=failed", "error_type="} {
			if !strings.Contains(w.logs.String(), " "+field) {
				t.Errorf("no line has %s: %s", field, w.logs)
			}
		}
	})
}
