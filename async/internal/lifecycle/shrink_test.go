package lifecycle

import (
	"testing"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

func TestShrink(t *testing.T) {
	told, untold := []byte("this round"), []byte("this round")
	for name, c := range map[string]struct {
		state                   record.State
		end                     record.End
		kind                    record.Kind
		final, keep             bool
		notice                  []byte // the notice of the Delivered hook, by its round
		token, details, payload bool   // what stays
	}{
		"waiting":                         {state: record.Waiting, token: true, details: true, payload: true},
		"settled":                         {state: record.Settled, kind: record.Result, token: true, details: true, payload: true},
		"result delivered":                {state: record.Closed, end: record.EndDelivered, kind: record.Result},
		"result delivered, kept":          {state: record.Closed, end: record.EndDelivered, kind: record.Result, keep: true, payload: true},
		"result delivered, hook due":      {state: record.Closed, end: record.EndDelivered, kind: record.Result, notice: untold, payload: true},
		"result delivered, other's hook":  {state: record.Closed, end: record.EndDelivered, kind: record.Result, notice: []byte("another")},
		"cancellation delivered":          {state: record.Closed, end: record.EndDelivered, kind: record.Cancellation},
		"failure delivered":               {state: record.Closed, end: record.EndDelivered, kind: record.Failure, details: true},
		"failure delivered, none follows": {state: record.Closed, end: record.EndDelivered, kind: record.Failure, final: true},
		"undelivered":                     {state: record.Closed, end: record.EndOther, kind: record.Result, details: true, payload: true},
		"abandoned":                       {state: record.Closed, end: record.EndAbandoned, kind: record.Result, details: true, payload: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record.Record{
				State: c.state, End: c.end, TaskToken: []byte("token"), Details: []byte("details"), DetailsPendingSince: 1, Secret: told,
				Outcome: &record.Outcome{Kind: c.kind, Payload: []byte("payload"), Fingerprint: []byte("print"), NonRetryable: c.final},
			}
			if c.notice != nil {
				r.Notices = []*record.Notice{{Kind: record.NoticeDelivered, Secret: c.notice}}
			}
			Shrink(r, c.keep)
			if got := len(r.TaskToken) > 0; got != c.token {
				t.Errorf("the token stays: %v, want %v", got, c.token)
			}
			if got := len(r.Details) > 0; got != c.details {
				t.Errorf("the details stay: %v, want %v", got, c.details)
			}
			if got := len(r.Outcome.Payload) > 0; got != c.payload || r.Outcome.Gone == got {
				t.Errorf("the payload stays: %v, gone %v, want %v", got, r.Outcome.Gone, c.payload)
			}
			if len(r.Outcome.Fingerprint) == 0 {
				t.Error("the fingerprint, which judges repeats, is dropped")
			}
		})
	}
}
