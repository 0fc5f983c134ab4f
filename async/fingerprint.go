package async

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// A fingerprint shows whether two outcomes are the same. The fingerprints of
// repeats are equal, although a codec with random nonces encodes them to
// different bytes. The fingerprint is keyed with the round's secret, so that a
// person who can read the store cannot test guesses against it.
type fingerprint func(secret []byte) []byte

func fingerprintOf(kind record.Kind, write func(h hash.Hash)) fingerprint {
	return func(secret []byte) []byte {
		h := hmac.New(sha256.New, secret)
		writeField(h, []byte(kind.String()))
		write(h)
		return h.Sum(nil)[:16]
	}
}

func writeField(h hash.Hash, b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	h.Write(n[:])
	h.Write(b)
}

// plainEncode returns the encoding of a value by the SDK's default converter,
// before any codec. Protobuf messages are encoded as deterministic binary,
// because their JSON has random white space.
func plainEncode(v any) ([]byte, error) {
	return guarded("the result's encoding", func() ([]byte, error) {
		if m, ok := v.(proto.Message); ok {
			return proto.MarshalOptions{Deterministic: true}.Marshal(m)
		}
		p, err := converter.GetDefaultDataConverter().ToPayload(v)
		return p.GetData(), err
	})
}

// writePayloads writes the encodings of details by the default converter.
func writePayloads(h hash.Hash, ps *commonpb.Payloads) {
	for _, p := range ps.GetPayloads() {
		writeField(h, p.GetData())
	}
}

// writeFailure writes type, message, retryability and details of the failure
// and of each cause. writeFailure leaves out stack traces, because they differ
// between calls.
func writeFailure(h hash.Hash, f *failurepb.Failure) {
	for ; f != nil; f = f.GetCause() {
		writeField(h, []byte(f.GetMessage()))
		info := f.GetApplicationFailureInfo()
		writeField(h, []byte(info.GetType()))
		if info.GetNonRetryable() {
			writeField(h, []byte{1})
		} else {
			writeField(h, []byte{0})
		}
		writePayloads(h, info.GetDetails())
	}
}
