package async

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// checkRecord returns store.ErrCorrupt, with the reason, for a record that this
// release could not have written. The rules rely on these checks. checkRecord
// accepts values that a newer release may have added, such as an unknown state
// or kind of outcome. The code that meets such values leaves the entry
// unchanged.
func checkRecord(r *record.Record) error {
	if r.State != record.NoState && !lifecycle.Known(r.State) {
		return nil
	}
	for _, c := range []struct {
		broken bool
		what   string
	}{
		{r.State == record.NoState, "it has no state"},
		{len(r.Secret) != record.SecretBytes, "its secret has another length"},
		{(r.Outcome == nil) != (r.Delivery == nil), "outcome and delivery come together"},
		{r.Outcome != nil && r.Outcome.Kind == record.NoKind, "its outcome has no kind"},
		{r.Early && r.Key == "", "an early answer has a key"},
		{tooEarly(r.Deadline, r.NextQuestion, r.NextBeat, r.NextNotice, r.Ended, r.Delivery.GetNext()), "a time is before 1970"},
		{r.HeartbeatTimeout < 0, "its heartbeat timeout is negative"},
		{!validNotes(r.Notes), "a note has no kind or no time"},
		{min(r.Questions, r.NoticeTries, r.BeatTries, r.Delivery.GetTries()) < 0, "a count is negative"},
	} {
		if c.broken {
			return corrupt(c.what)
		}
	}
	switch r.State {
	case record.Waiting:
		switch {
		case r.Outcome != nil:
			return corrupt("it waits and has an outcome")
		case r.Early:
			return corrupt("an early answer does not wait")
		case len(r.TaskToken) == 0 && !withoutToken(r):
			return corrupt("it waits without a task token")
		}
	case record.Settled:
		switch {
		case r.Outcome == nil:
			return corrupt("it is settled without an outcome")
		case !r.Early && len(r.TaskToken) == 0 && !withoutToken(r):
			return corrupt("it is settled without a task token")
		}
	case record.Closed:
		switch {
		case r.End == record.NoEnd || r.Ended == 0:
			return corrupt("it is closed without an end")
		case r.End == record.EndDelivered && r.Outcome == nil:
			return corrupt("it is delivered without an outcome")
		}
	}
	return nil
}

// withoutToken reports whether Adopt registered the attempt by its IDs. An
// attempt that was adopted by its IDs counts as one whose token Temporal no
// longer accepts.
func withoutToken(r *record.Record) bool {
	return r.Started != 0 && r.TokenLostStarted == r.Started
}

func corrupt(what string) error {
	return fmt.Errorf("%w: the record breaks an invariant: %s", store.ErrCorrupt, what)
}

func validNotes(notes []*record.Note) bool {
	for _, n := range notes {
		if n.GetKind() == "" || n.GetAt() == 0 || tooEarly(n.GetAt()) {
			return false
		}
	}
	return true
}

// tooEarly reports whether one of the times is set and outside of the range of
// a store.
func tooEarly(times ...int64) bool {
	for _, t := range times {
		if t != 0 && t < int64(time.Millisecond) {
			return true
		}
	}
	return false
}
