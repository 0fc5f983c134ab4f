package lifecycle

import (
	"bytes"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Answer is the decision about an outcome that is offered for the current
// round.
type Answer int

const (
	// Accept: the outcome settles the round.
	Accept Answer = iota
	// Repeat: the same outcome was accepted before, and nothing changes.
	Repeat
	// Other: another outcome was accepted before.
	Other
	// TooLate: the activity is over without the outcome.
	TooLate
	// Superseded: the round ended without an outcome.
	Superseded
	// Unknown: a newer release wrote the entry.
	Unknown
)

// Offered decides about an outcome by its kind and fingerprint.
func Offered(r *record.Record, kind record.Kind, print []byte) Answer {
	switch {
	case r.State == record.Waiting:
		return Accept
	case r.State == record.Settled, r.State == record.Closed && r.End == record.EndDelivered:
		return Judge(r.Outcome.GetKind(), r.Outcome.GetFingerprint(), kind, print)
	case r.State == record.Closed:
		return TooLate
	default:
		return Unknown
	}
}

// Judge compares an outcome with the accepted outcome of its round. A round
// without a fingerprint ended without an outcome.
func Judge(kind record.Kind, print []byte, offered record.Kind, offeredPrint []byte) Answer {
	switch {
	case len(print) == 0:
		return Superseded
	case kind == offered && bytes.Equal(print, offeredPrint):
		return Repeat
	default:
		return Other
	}
}

// Settle makes o the record's outcome. Settle also claims the entry: the hub
// that accepts an outcome delivers it, if it can.
func (p Policy) Settle(r *record.Record, o *record.Outcome) {
	o.Settled, o.Started = p.Now.UnixNano(), r.Started
	r.State, r.Outcome, r.Delivery = record.Settled, o, new(record.Delivery)
	p.Claim(r)
}

// Claim reserves a settled record for this hub while it delivers. A hub that
// cannot deliver leaves the record to the first hub that claims it.
func (p Policy) Claim(r *record.Record) {
	next := p.Now
	if p.CanAsk {
		next = next.Add(p.ClaimTime)
	}
	r.Delivery.Next = next.UnixNano()
}
