package async

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// rules applies the rules of package lifecycle for this hub.
type rules struct {
	policy lifecycle.Policy // without its times
	health *health
}

// at returns the policy for a moment.
func (r *rules) at(now time.Time) lifecycle.Policy {
	p := r.policy
	p.Now = now
	return p
}

// forAnswer returns the policy for an answer in a namespace at a moment.
func (r *rules) forAnswer(namespace string, now time.Time) lifecycle.Policy {
	p := r.at(now)
	p.RefusedSince = r.health.refusedSince(namespace)
	return p
}

// unclaim makes a settled entry due for every hub at a time.
func unclaim(e *entry, now time.Time) { e.rec.Delivery.Next = now.UnixNano() }

// roundDigest returns the digest of the callback ID of an ended round.
func roundDigest(entryID string, secret []byte) []byte {
	return record.NewCallbackID(entryID, secret).Digest()
}
