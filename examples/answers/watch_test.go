package answers

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// A workflow is terminated while its activity waits without heartbeats. The
// deadline of the activity is an hour away. The Over hook is called within the
// interval.
func TestTerminatedWorkflowIsNoticed(t *testing.T) {
	over := make(tellings, 10)
	w := newWorld(t, config{hub: func(o *async.Options) {
		running(over)(o)
		o.WatchInterval = 2 * time.Second
	}})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	runHub(t, w.hub)
	w.wantPending(run, 1)
	must(t, w.Client.TerminateWorkflow(w.Context(), run.GetID(), run.GetRunID(), "by an operator"))
	over.each(t, p.Callback, nil, "over")
	w.wantState(p, async.Closed)
}
