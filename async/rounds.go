package async

import "github.com/latchkey-go/latchkey/async/internal/record"

// roundOf returns whether the callback ID is that of the record's current
// round, else the one before that it belongs to, or nil.
func roundOf(e entry, callback string) (current bool, before *record.Round) {
	_, secret, ok := splitCallbackID(callback)
	if !ok {
		return false, nil
	}
	if sameSecret(secret, e.rec.Secret) {
		return true, nil
	}
	d := callbackDigest(callback)
	for _, r := range e.rec.Rounds {
		if sameSecret(d, r.CallbackDigest) {
			return false, r
		}
	}
	return false, nil
}
