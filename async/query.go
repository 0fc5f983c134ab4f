package async

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Query selects entries for [Hub.Page]. An entry must match all fields that are
// set. The zero value selects every entry.
type Query struct {
	// State selects entries in one state. Defaults to all states.
	State State

	// Namespace, ActivityType, ResultType, WorkflowID and Key select entries that
	// have exactly this value. Each defaults to all values.
	Namespace, ActivityType, ResultType, WorkflowID, Key string

	// Labels selects entries that have all of these labels. Defaults to none.
	Labels map[string]string

	// Failing selects entries whose last try to deliver, to heartbeat or to
	// call a hook has failed. Defaults to false.
	Failing bool

	// Overdue selects entries that have needed a hub for at least this time. An
	// outcome needs a hub since it was accepted; a heartbeat, a question to
	// Temporal or a hook needs one since it was due. Overdue thus finds entries
	// that no hub works on, for example because no hub knows their pump.
	// Overdue must not be negative. Defaults to zero, which selects all
	// entries.
	Overdue time.Duration

	// After is the Next of the previous page. Defaults to the first page.
	After string

	// Limit is the maximum number of callbacks in a page, between 1 and 500.
	// Defaults to 50.
	Limit int

	// Look is the maximum number of entries that are read for a page, between 1
	// and 10,000. Defaults to 10,000.
	Look int
}

const (
	defaultLimit = 50
	maxLimit     = 500
	maxLook      = 10_000
)

// withDefaults checks the query, and applies its defaults.
func (q Query) withDefaults() (Query, error) {
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	if q.Look == 0 {
		q.Look = maxLook
	}
	switch {
	case q.State < 0 || q.State > Closed:
		return q, fmt.Errorf("%w: Query.State must be Waiting, Settled, Closed or zero, got %d", ErrInvalidArgument, int(q.State))
	case q.Limit < 1 || q.Limit > maxLimit:
		return q, fmt.Errorf("%w: Query.Limit must be between 1 and %d, got %d", ErrInvalidArgument, maxLimit, q.Limit)
	case q.Look < 1 || q.Look > maxLook:
		return q, fmt.Errorf("%w: Query.Look must be between 1 and %d, got %d", ErrInvalidArgument, maxLook, q.Look)
	case q.Overdue < 0:
		return q, fmt.Errorf("%w: Query.Overdue must not be negative, got %v", ErrInvalidArgument, q.Overdue)
	case q.After != "" && store.CheckID(q.After) != nil:
		return q, fmt.Errorf("%w: Query.After must be the Next of a page", ErrInvalidArgument)
	}
	return q, nil
}

// all reports whether the query selects every entry.
func (q Query) all() bool {
	return q.State == 0 && q.Namespace == "" && q.ActivityType == "" && q.ResultType == "" && q.WorkflowID == "" && q.Key == "" &&
		len(q.Labels) == 0 && !q.Failing && q.Overdue == 0
}

// selects reports whether the query selects a record.
func (q Query) selects(r *record.Record, retention time.Duration, now time.Time) bool {
	if q.State != 0 && State(r.State) != q.State {
		return false
	}
	for _, field := range [][2]string{
		{q.Namespace, r.Namespace}, {q.ActivityType, r.ActivityType}, {q.ResultType, r.ResultType}, {q.WorkflowID, r.WorkflowId}, {q.Key, r.Key},
	} {
		if field[0] != "" && field[0] != field[1] {
			return false
		}
	}
	for name, value := range q.Labels {
		if has, ok := r.Labels[name]; !ok || has != value {
			return false
		}
	}
	if q.Failing && !lifecycle.Failing(r) {
		return false
	}
	if q.Overdue > 0 {
		late := lifecycle.LateSince(r, retention, now)
		return !late.IsZero() && now.Sub(late) >= q.Overdue
	}
	return true
}
