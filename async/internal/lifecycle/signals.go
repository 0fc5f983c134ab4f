package lifecycle

import "github.com/latchkey-go/latchkey/async/internal/record"

// Signals are what Temporal answers to a heartbeat. Several may stand.
type Signals struct{ CancelRequested, Paused, Reset bool }

// Signals are those that Describe tells of. It says nothing of a reset.
func (w Word) Signals(r *record.Record) Signals {
	return Signals{CancelRequested: w.CancelRequested, Paused: w.Paused, Reset: r.ResetRequested}
}

// Signalled records the signals that stand, and has hooks called for those that
// are new. A cancellation and a reset are not withdrawn; a pause is.
func (p Policy) Signalled(r *record.Record, s Signals) {
	if s.CancelRequested && !r.CancelRequested {
		r.CancelRequested = true
		p.notice(r, record.NoticeCancelRequested, record.NoEnd)
	}
	if s.Paused != r.Paused {
		if r.Paused = s.Paused; s.Paused {
			p.notice(r, record.NoticePaused, record.NoEnd)
		}
	}
	if s.Reset && !r.ResetRequested {
		r.ResetRequested = true
		p.notice(r, record.NoticeReset, record.NoEnd)
	}
}
