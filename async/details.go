package async

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// digestOf tells heartbeat details from others; nil where there are none.
func digestOf(details *commonpb.Payloads) []byte {
	if len(details.GetPayloads()) == 0 {
		return nil
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(details)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(b)
	return sum[:8]
}

// recordedByOthers reports whether the server has details that are newer than
// those of the record: others than it was known to have, so that somebody else
// has recorded them since. Only where the outside has brought some as well that
// weren't sent yet do the clocks decide.
func recordedByOthers(r *record.Record, status completer.Status) bool {
	theirs := digestOf(status.Details)
	return theirs != nil && !bytes.Equal(theirs, r.ServerDetailsDigest) &&
		(r.DetailsPendingSince == 0 || status.LastHeartbeat.UnixNano() > r.DetailsPendingSince)
}

// attemptRuns reports whether the attempt that the record knows is the one that
// runs: its token reaches no other.
func attemptRuns(r *record.Record, status completer.Status) bool {
	return status.Pending && status.Running && status.Started.Equal(fromNano(r.Started))
}

// payloadsOf reads stored details; nil where there are none.
func payloadsOf(stored []byte) (*commonpb.Payloads, error) {
	details := new(commonpb.Payloads)
	if err := proto.Unmarshal(stored, details); err != nil || len(details.GetPayloads()) == 0 {
		return nil, err
	}
	return details, nil
}

// latest is what the worker's own beat says: what the server has, unless the
// outside has brought something since.
func latest(r *record.Record, status completer.Status) *commonpb.Payloads {
	brought, err := payloadsOf(r.Details)
	if r.DetailsPendingSince == 0 || brought == nil || err != nil || recordedByOthers(r, status) {
		return status.Details
	}
	return brought
}

// passOn sends the details that no beat has sent yet, so that they arrive
// before the outcome: the next attempt resumes from them. What refuses them
// refuses no outcome.
func (h *Hub) passOn(ctx context.Context, r *record.Record, as role) error {
	if r.DetailsPendingSince == 0 || r.TokenLostStarted == r.Started {
		return nil
	}
	details, err := payloadsOf(r.Details)
	if details == nil || err != nil {
		return nil
	}
	if as != settler || r.DetailsReadStarted != r.Started {
		// The token may be another attempt's by now, and the function may have
		// recorded something since.
		switch status, err := h.completer.Describe(ctx, target(r).ByID(), ""); {
		case errors.Is(err, completer.ErrRefused):
			return nil
		case err != nil || !attemptRuns(r, status) || recordedByOthers(r, status):
			return err
		}
	}
	_, err = h.completer.Heartbeat(ctx, target(r), details)
	switch {
	case err == nil:
		r.BeatPendingSince, r.DetailsPendingSince, r.ServerDetailsDigest = 0, 0, digestOf(details)
	case errors.Is(err, completer.ErrOver), errors.Is(err, completer.ErrNotStarted):
		r.TokenLostStarted = r.Started // they are for the next attempt
	case !errors.Is(err, completer.ErrRefused):
		return err
	}
	return nil
}
