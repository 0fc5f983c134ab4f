package async

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// rules are those of package lifecycle, as this hub applies them.
type rules struct {
	policy lifecycle.Policy // without its times
	health *health
}

// at returns the policy of a moment.
func (r *rules) at(now time.Time) lifecycle.Policy {
	p := r.policy
	p.Now = now
	return p
}

// forAnswer returns the policy of a moment for an answer in a namespace.
func (r *rules) forAnswer(namespace string, now time.Time) lifecycle.Policy {
	p := r.at(now)
	p.RefusedSince = r.health.refusedSince(namespace)
	return p
}

// unclaim makes a settled entry due at a time for every hub.
func unclaim(e *entry, now time.Time) { e.rec.Delivery.Next = now.UnixNano() }

// roundDigest stands for the callback ID of a round that is over.
func roundDigest(entryID string, secret []byte) []byte {
	return record.NewCallbackID(entryID, secret).Digest()
}
