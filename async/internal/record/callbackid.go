package record

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
)

const (
	// SecretBytes is the length of a round's secret.
	SecretBytes = 16

	secretLen = 22 // characters of base64url: 16 bytes

	// CallbackIDLen is the length of a callback ID. KeyedCallbackIDLen is the
	// length if the activity has a business key.
	CallbackIDLen      = EntryIDLen + secretLen
	KeyedCallbackIDLen = KeyedEntryIDLen + secretLen
)

// CallbackID is a parsed callback ID: the ID of an entry and the secret of one
// of its rounds. A CallbackID authorizes an answer, so it is never printed:
// only Reveal returns it as text. Hold a CallbackID by a pointer in a struct
// that fmt may print, because fmt prints unexported fields without their String
// methods.
type CallbackID struct {
	whole  string
	secret [SecretBytes]byte
}

// strict is an encoding that accepts only one spelling of a secret.
var strict = base64.RawURLEncoding.Strict()

// ParseCallbackID parses a callback ID. ParseCallbackID reports whether the
// string has the form of a callback ID.
func ParseCallbackID(s string) (c CallbackID, ok bool) {
	if len(s) != CallbackIDLen && len(s) != KeyedCallbackIDLen {
		return CallbackID{}, false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return CallbackID{}, false
		}
	}
	c.whole = s
	if _, err := strict.Decode(c.secret[:], []byte(s[len(s)-secretLen:])); err != nil {
		return CallbackID{}, false
	}
	return c, true
}

// NewCallbackID returns the callback ID for an entry and the secret of a round.
func NewCallbackID(entryID string, secret []byte) CallbackID {
	b := make([]byte, 0, CallbackIDLen)
	c := CallbackID{whole: string(base64.RawURLEncoding.AppendEncode(append(b, entryID...), secret))}
	copy(c.secret[:], secret)
	return c
}

// NewSecret returns a random secret.
func NewSecret() []byte {
	b := make([]byte, SecretBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// Reveal returns the callback ID as text.
func (c CallbackID) Reveal() string { return c.whole }

// EntryID returns the ID of the entry.
func (c CallbackID) EntryID() string { return c.whole[:max(0, len(c.whole)-secretLen)] }

// Secret returns the secret.
func (c CallbackID) Secret() []byte { return c.secret[:] }

// String returns a text that reveals no part of the ID.
func (c CallbackID) String() string { return "a callback ID" }

// GoString returns String.
func (c CallbackID) GoString() string { return c.String() }

// Digest returns the digest of the callback ID of an ended round.
func (c CallbackID) Digest() []byte { return digest("callback", c.whole) }

// RoundOf reports whether the callback ID belongs to the record's current
// round. Otherwise RoundOf returns the earlier round that the ID belongs to, or
// nil. RoundOf compares secrets in constant time.
func (c CallbackID) RoundOf(r *Record) (current bool, before *Round) {
	if same(c.secret[:], r.Secret) {
		return true, nil
	}
	if len(r.Rounds) == 0 {
		return false, nil
	}
	d := c.Digest()
	for _, over := range r.Rounds {
		if same(d, over.CallbackDigest) {
			return false, over
		}
	}
	return false, nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
