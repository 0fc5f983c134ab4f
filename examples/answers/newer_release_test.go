package answers

import (
	"bytes"
	"testing"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

// A newer release has written the entry, in a format or a state that this
// release does not know. Every operation leaves the entry unchanged.
func TestNewerEntryIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, newer := range map[string]func(body []byte) []byte{
		"format": func(body []byte) []byte { return append([]byte{200}, body[1:]...) },
		"state": func(body []byte) []byte {
			const state = 16 // the field's number in the record; the last value counts if there are several
			return protowire.AppendVarint(protowire.AppendTag(body, state, protowire.VarintType), 9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			o := patient()
			o.StartToCloseTimeout = brief
			o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1}
			run := w.Start(awaitDecision, o)
			w.Next()
			p := w.next()
			var kept store.Entry
			rewrite := func(change func(body []byte) []byte) {
				rig.Eventually(t, "the entry is written", func() bool {
					for e, err := range w.store.List(w.Context()) {
						must(t, err)
						kept = e
					}
					kept.Body = change(bytes.Clone(kept.Body))
					_, err := w.store.Put(w.Context(), kept)
					return err == nil
				})
			}
			var before []byte
			rewrite(func(body []byte) []byte {
				before = bytes.Clone(body)
				return newer(body)
			})
			w.run()
			if err := p.Complete(w.Context(), approved); err == nil {
				t.Error("an entry that can't be judged took an answer")
			}
			if err := p.Abandon(w.Context()); err == nil {
				t.Error("an entry that can't be judged was abandoned")
			}
			w.Next() // the second attempt's Start meets the entry, and fails
			w.AwaitPending(run, "the attempt's end", func(p *workflowpb.PendingActivityInfo) bool {
				return p.GetAttempt() >= 2 && p.GetLastFailure().GetApplicationFailureInfo() != nil
			})
			w.none()
			if e, err := w.store.Get(w.Context(), kept.ID); err != nil || !bytes.Equal(e.Body, kept.Body) {
				t.Errorf("the entry of a newer release was changed, or is gone: %v", err)
			}
			hooks.none(t)
			rewrite(func([]byte) []byte { return before })
			must(t, p.Complete(w.Context(), approved))
			w.wantResult(run, approved)
		})
	}
}
