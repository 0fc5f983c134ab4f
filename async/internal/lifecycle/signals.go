package lifecycle

import "github.com/latchkey-go/latchkey/async/internal/record"

// Signals is Temporal's reply to a heartbeat. Several signals may be set.
type Signals struct{ CancelRequested, Paused, Reset bool }

// Signals returns the signals in Describe's answer. Describe does not report a
// reset.
func (w Word) Signals(r *record.Record) Signals {
	return Signals{CancelRequested: w.CancelRequested, Paused: w.Paused, Reset: r.ResetRequested}
}

// Signalled records the signals that are in force, and makes hubs call the
// hooks for new ones. Temporal can withdraw a pause, but not a cancellation or
// a reset.
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
