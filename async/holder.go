package async

import (
	"crypto/subtle"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Field numbers of the record that holder reads.
const (
	secretField = 18
	roundsField = 19
	digestField = 1 // of a round
)

// holder reports whether a callback ID is one of the entry's: its secret is that
// of the current round, or its digest is that of an earlier round. It reads the
// encoded body, whose other fields it skips without decoding or copying them,
// and compares in constant time without stopping at a match. So an ID with a
// wrong secret costs the same whatever the entry holds.
//
// sure is false where the body is damaged or of another format: decodeEntry then
// says which.
func holder(body []byte, callback string) (holds, sure bool) {
	_, secret, ok := splitCallbackID(callback)
	if !ok || len(body) == 0 || body[0] != recordFormat {
		return false, false
	}
	digest := callbackDigest(callback)
	var kept []byte
	same := 0
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
			same |= subtle.ConstantTimeCompare(over, digest)
		}
	}
	same |= subtle.ConstantTimeCompare(kept, secret)
	return same == 1, len(kept) == secretBytes
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

// consume reads one field. value is set for fields of bytes. n is negative where
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

// noEntry is the body that holder reads where there is no entry, so that an
// unknown callback ID costs the same as a wrong secret.
var noEntry = func() []byte {
	e, err := entry{rec: &record.Record{Secret: make([]byte, secretBytes)}}.encode()
	if err != nil {
		panic(err) // a constant record can be encoded
	}
	return e.Body
}()
