package async

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// activityOf returns the argument of a pump.
func activityOf(e entry) heartbeat.Activity {
	r := e.rec
	return heartbeat.Activity{
		ID: record.NewCallbackID(e.id, r.Secret).Reveal(), Type: r.ActivityType, WorkflowID: r.WorkflowId,
		Reference: r.Reference, Labels: maps.Clone(r.Labels), Attempt: r.Attempt,
		Timeout: time.Duration(r.HeartbeatTimeout), Deadline: fromNano(r.Deadline),
		LastBeat: fromNano(r.LastBeat), Relayed: fromNano(r.BeatPendingSince),
	}
}

// atOnce reports whether the entry's pump answers without asking an external
// system.
func (b *beater) atOnce(e entry) bool {
	p, may := b.pumps[e.rec.Pump].(heartbeat.Asker)
	if !may {
		return false
	}
	asks, err := guarded("the pump's Asks", func() (bool, error) { return p.Asks(), nil })
	return err == nil && !asks
}

// answer is the answer of a pump, with its details encoded.
type answer struct {
	skip    bool
	details []byte // encoded; nil: none
	unsent  error  // the reason why the pump's details cannot be encoded
	dead    error  // the reason why the job is dead
}

// consult asks the pump. consult also encodes the details, with the pump's
// context, in the goroutine that is abandoned if the application hangs.
func (b *beater) consult(ctx context.Context, e entry) (answer, error) {
	said, err := b.pumps[e.rec.Pump].Beat(ctx, activityOf(e))
	return b.answerOf(ctx, e, said, err)
}

func (b *beater) answerOf(ctx context.Context, e entry, beat heartbeat.Beat, err error) (said answer, _ error) {
	switch {
	case errors.Is(err, heartbeat.ErrDead):
		return answer{dead: readable(beatCall, err)}, nil
	case err != nil:
		return answer{}, err
	}
	said.skip = beat.Skip
	if beat.Details != nil && !beat.Skip {
		enc, err := b.encoder.in(ctx)
		if err == nil {
			said.details, err = enc.details(e.rec, []any{beat.Details})
		}
		said.unsent = err
	}
	return said, nil
}

const beatCall = "the pump's Beat"

// sayAtOnce is like askPump, for a pump that answers at once.
func (b *beater) sayAtOnce(ctx context.Context, e entry) (answer, error) {
	return guarded(beatCall, func() (answer, error) { return b.consult(ctx, e) })
}

// askPump asks the pump in a goroutine that is abandoned if the pump hangs.
func (b *beater) askPump(ctx context.Context, e entry) (answer, error) {
	return outside(ctx, &b.asking, e.id, beatCall, func() (answer, error) { return b.consult(ctx, e) })
}
