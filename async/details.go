package async

import (
	"context"
	"crypto/sha256"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// digestOf returns a digest by which heartbeat details can be compared, or nil
// if there are no details.
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

// payloadsOf decodes stored details. payloadsOf returns nil if there are no
// details.
func payloadsOf(stored []byte) (*commonpb.Payloads, error) {
	details := new(commonpb.Payloads)
	if err := proto.Unmarshal(stored, details); err != nil || len(details.GetPayloads()) == 0 {
		return nil, err
	}
	return details, nil
}

// passOn sends the details that no beat has sent yet. Pending details must
// arrive before the outcome, because the next attempt resumes from them. If
// Temporal refuses the details, the outcome is sent nevertheless.
func (d *deliverer) passOn(ctx context.Context, r *record.Record, as role) error {
	next := lifecycle.BeforeOutcome(r, as == bySettler, nil)
	if next == lifecycle.DescribeForDetails {
		status, err := d.describe(ctx, r, "")
		switch {
		case errors.Is(err, completer.ErrRefused):
			return nil
		case err != nil:
			return err
		}
		next = lifecycle.BeforeOutcome(r, as == bySettler, new(wordOf(status)))
	}
	if next != lifecycle.PassOn {
		return nil
	}
	details, err := payloadsOf(r.Details)
	if details == nil || err != nil {
		return nil
	}
	_, err = d.completer.Heartbeat(ctx, target(r), details)
	switch {
	case err == nil:
		lifecycle.PassedOn(r, digestOf(details))
	case errors.Is(err, completer.ErrOver), errors.Is(err, completer.ErrNotStarted):
		lifecycle.LoseToken(r)
	case !errors.Is(err, completer.ErrRefused):
		return err
	}
	return nil
}
