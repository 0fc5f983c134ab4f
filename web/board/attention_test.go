package board_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// trouble is an entry for which something goes wrong.
type trouble struct {
	name  string
	make  func(r *rig, tries int) (id string)
	tries int           // failed tries
	after time.Duration // age of the entry when the board is read; age of the outcome if a hub has tried to deliver it

	state, class string
	want         string // on the page for what needs attention; "": the entry is not on it
}

// TestAttention checks each kind of trouble at its limit, and just below it.
func TestAttention(t *testing.T) {
	const almost = time.Minute - time.Second
	for _, x := range []trouble{
		{"no trouble", waitingFor("", time.Hour), 0, time.Second, "waiting", "", ""},

		{"a refused outcome", refusedBy(completer.ErrRefused), 1, 0, "settled", "refused", "Temporal refuses the outcome. Check the permissions, the namespace and the client of the hubs, then retry."},

		{"two calls of a hook", withHook, 2, 0, "ended", "hook", ""},
		{"three calls of a hook", withHook, 3, 0, "ended", "hook", "The hook Delivered has failed 3 times. Correct the cause, then retry."},

		{"two heartbeats", withHeartbeats, 2, 0, "waiting", "heartbeat", ""},
		{"three heartbeats", withHeartbeats, 3, 0, "waiting", "heartbeat", "3 heartbeats have failed. If they go on failing, Temporal times the attempt out."},

		{"a pump that is late", waitingFor("jobs", time.Hour), 0, almost, "waiting", "", ""},
		{"a pump that is missing", waitingFor("jobs", time.Hour), 0, time.Minute, "waiting", "late", `No hub has worked on the entry for 1 min. Start a hub that knows the pump "jobs".`},
		{"a deadline just passed", waitingFor("", time.Second), 0, almost, "waiting", "", ""},
		{"a deadline passed long ago", waitingFor("", time.Second), 0, time.Minute, "waiting", "late", `No hub has worked on the entry for 1 min. Start a hub with a completer that reaches the namespace "default".`},
		{"an outcome just accepted", acceptedOnly, 0, almost, "settled", "", ""},
		{"an outcome that no hub delivers", acceptedOnly, 0, time.Minute, "settled", "late", `No hub has worked on the entry for 1 min. Start a hub with a completer that reaches the namespace "default".`},
		{"an early result that expires", early, 0, almost, "settled", "", ""},
		{"an early result that no hub ends", early, 0, 3 * time.Minute, "settled", "late", "No hub has worked on the entry for 3 min. Start a hub with a completer."},
		{"an ended entry", ended, 0, 24*time.Hour + almost, "ended", "", ""},
		{"an ended entry that no hub removes", ended, 0, 24*time.Hour + time.Minute, "ended", "late", "No hub has worked on the entry for 1 min. Start a hub with a completer."},

		{"two tries", refusedBy(errAway), 2, almost, "settled", "unavailable", ""},
		{"three tries", refusedBy(errAway), 3, almost, "settled", "unavailable", "Temporal does not have the outcome after 59 s and 3 tries (unavailable). Hubs go on trying."},
		{"a try for less than a minute", refusedBy(errAway), 1, almost, "settled", "unavailable", ""},
		{"a try for a minute", refusedBy(errAway), 1, time.Minute, "settled", "unavailable", "Temporal does not have the outcome after 1 min and 1 try (unavailable). Hubs go on trying."},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				id := x.make(r, x.tries)
				if i := r.info(id); i.State == async.Settled && x.tries > 0 {
					time.Sleep(time.Until(i.Settled.Add(x.after)))
				} else {
					time.Sleep(x.after)
				}
				if e := r.get("/entries/" + id); e.State != x.state || e.Class != x.class || e.Attention != x.want {
					t.Errorf("the entry is %s with class %q and attention %q, want %s with %q and %q", e.State, e.Class, e.Attention, x.state, x.class, x.want)
				}
				listed, page := r.get("/"), r.page("/")
				if x.want == "" {
					if len(listed.Entries) != 0 || strings.Contains(page.body, id) {
						t.Errorf("the entry needs attention: %+v", listed.Entries)
					}
					page.wantPage(t, "the page", 200, "Nothing needs attention.")
					return
				}
				if len(listed.Entries) != 1 || listed.Entries[0].ID != id || listed.Entries[0].Attention != x.want {
					t.Errorf("what needs attention is %+v, want %s with %q", listed.Entries, id, x.want)
				}
				page.wantPage(t, "the page", 200, id, html.EscapeString(x.want), `<span class="class">`+x.class+"</span>")
			})
		})
	}
}

var errAway = errors.New("connection refused")

// other returns another hub with the store and the fake of Temporal of the rig.
func (r *rig) other(change ...func(*async.Options)) *async.Hub {
	r.t.Helper()
	o := async.Options{Store: r.store, Completer: finding{r.temporal, time.Hour}, DeliveryWait: time.Minute, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	for _, c := range change {
		c(&o)
	}
	return asynctest.NewHub(r.t, o)
}

// adopted adopts an activity of the namespace "default", and returns its
// callback.
func (r *rig) adopted(h *async.Hub, o async.AdoptOptions) async.Pending[Decision] {
	r.t.Helper()
	o.Namespace, o.WorkflowID, o.ActivityID = "default", "expense-7", "5"
	p, err := async.Adopt[Decision](r.t.Context(), h, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.plant(p.ID())
	return p
}

// worked makes a hub work each second until an entry has failed a number of
// times.
func (r *rig) worked(h *async.Hub, id string, failed func(async.Info) int, tries int) string {
	r.t.Helper()
	for range 600 {
		if n := failed(r.info(id)); n == tries {
			return id
		}
		time.Sleep(time.Second)
		if _, err := h.Work(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatalf("the entry has not failed %d times: %+v", tries, r.info(id))
	return ""
}

func (r *rig) completed(p async.Pending[Decision]) string {
	r.t.Helper()
	if err := p.Complete(r.t.Context(), Decision{Approved: true, By: secret}); err != nil {
		r.t.Fatal(err)
	}
	return p.Info().ID
}

// refusedBy returns an entry whose outcome Temporal does not accept.
func refusedBy(err error) func(r *rig, tries int) string {
	return func(r *rig, tries int) string {
		r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return err }
		h := r.other()
		id := r.completed(r.adopted(h, async.AdoptOptions{}))
		return r.worked(h, id, func(i async.Info) int { return i.Deliveries }, tries)
	}
}

// withHook returns an entry whose hook fails.
func withHook(r *rig, tries int) string {
	h := r.other(func(o *async.Options) {
		o.Hooks.Delivered = func(context.Context, async.Callback) error { return errAway }
	})
	id := r.completed(r.adopted(h, async.AdoptOptions{}))
	return r.worked(h, id, func(i async.Info) int { return i.HookTries }, tries)
}

// withHeartbeats returns an entry whose heartbeats fail.
func withHeartbeats(r *rig, tries int) string {
	r.temporal.HeartbeatFunc = func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
		return completer.Signals{}, errAway
	}
	h := r.other()
	id := r.adopted(h, async.AdoptOptions{TaskToken: []byte("t0ken")}).Info().ID
	return r.worked(h, id, func(i async.Info) int { return i.HeartbeatTries }, tries)
}

// waitingFor returns a function that adopts an activity, waits until its
// heartbeat or its deadline is due, and returns its ID. The deadline of its
// attempt is the given time away. Without a pump, the entry has no heartbeats.
func waitingFor(pump string, deadline time.Duration) func(r *rig, _ int) string {
	return func(r *rig, _ int) string {
		o := async.AdoptOptions{Pump: pump}
		if pump != "" {
			o.TaskToken = []byte("t0ken")
		}
		h := r.other(func(o *async.Options) {
			o.Completer = finding{r.temporal, deadline}
			o.WatchInterval = 24 * time.Hour
			o.Pumps = map[string]heartbeat.Pump{"jobs": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})}
		})
		id := r.adopted(h, o).Info().ID
		switch i := r.info(id); {
		case pump != "":
			time.Sleep(time.Until(i.NextBeat))
		case deadline < time.Hour:
			time.Sleep(time.Until(i.Deadline))
		}
		return id
	}
}

// acceptedOnly returns an entry whose outcome was accepted by a hub without a
// completer.
func acceptedOnly(r *rig, _ int) string {
	p := r.adopted(r.other(), async.AdoptOptions{})
	h, err := async.New(async.Options{Store: r.store})
	if err != nil {
		r.t.Fatal(err)
	}
	accepting, err := async.Open[Decision](r.t.Context(), h, p.ID())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.completed(accepting)
}

// early returns an early result whose time has just passed.
func early(r *rig, _ int) string {
	p, err := async.OpenKey[Decision](r.t.Context(), r.hub, "order-7", async.KeyOptions{Namespace: "default", Early: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	r.completed(p)
	time.Sleep(time.Hour)
	return r.get("/settled").Entries[0].ID
}

// ended returns an entry that has just ended. Its retention is 24 hours.
func ended(r *rig, _ int) string {
	id := r.completed(r.adopted(r.other(), async.AdoptOptions{}))
	if i := r.info(id); i.State != async.Closed {
		r.t.Fatal(fmt.Errorf("the entry is %v", i.State))
	}
	return id
}
