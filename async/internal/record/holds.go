package record

import (
	"crypto/subtle"

	"google.golang.org/protobuf/encoding/protowire"
)

// Format is the first byte of an entry's body. An encoded Record follows.
const Format = 1

// Field numbers of the record that Holds reads.
const (
	secretField = 18
	roundsField = 19
	digestField = 1 // of a round
)

// Holds reports whether a callback ID belongs to the entry with this body.
// Either its secret is the secret of the current round, or its digest is the
// digest of an earlier round. Holds reads the encoded body, and skips other
// fields without decoding or copying them. Holds compares in constant time and
// does not stop at a match. A wrong secret thus costs the same time for every
// entry.
//
// sure is false if the body is damaged or has another format; decode the body
// to learn which.
func (c CallbackID) Holds(body []byte) (holds, sure bool) {
	if len(body) == 0 || body[0] != Format {
		return false, false
	}
	digest := c.Digest()
	var kept []byte
	match := 0
	for b := body[1:]; len(b) > 0; {
		num, kind, value, n := consume(b)
		if n < 0 {
			return false, false
		}
		b = b[n:]
		switch {
		case kind != protowire.BytesType:
		case num == secretField:
			kept = value
		case num == roundsField:
			over, ok := digestIn(value)
			if !ok {
				return false, false
			}
			match |= subtle.ConstantTimeCompare(over, digest)
		}
	}
	match |= subtle.ConstantTimeCompare(kept, c.secret[:])
	return match == 1, len(kept) == SecretBytes
}

// digestIn returns the digest of the callback ID in an encoded round.
func digestIn(b []byte) (digest []byte, ok bool) {
	for len(b) > 0 {
		num, kind, value, n := consume(b)
		if n < 0 {
			return nil, false
		}
		if b = b[n:]; num == digestField && kind == protowire.BytesType {
			digest = value
		}
	}
	return digest, true
}

// consume reads one field. value is set for fields of bytes. n is negative if
// the encoding is damaged.
func consume(b []byte) (num protowire.Number, kind protowire.Type, value []byte, n int) {
	num, kind, n = protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, nil, n
	}
	var m int
	if kind == protowire.BytesType {
		value, m = protowire.ConsumeBytes(b[n:])
	} else {
		m = protowire.ConsumeFieldValue(num, kind, b[n:])
	}
	if m < 0 {
		return 0, 0, nil, m
	}
	return num, kind, value, n + m
}
