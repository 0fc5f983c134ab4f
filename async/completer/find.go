package completer

import (
	"context"
	"errors"
	"fmt"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// Finder is an optional interface of a [Completer]. Finder finds an activity
// that Start did not hand over, so that async.Adopt can register the activity.
type Finder interface {
	// Find returns the activity that t names. t has a task token, or Namespace,
	// WorkflowID, RunID and ActivityID; for a standalone activity, t has
	// Namespace, ActivityID and ActivityRunID. Without RunID, Find looks in the
	// current run.
	//
	// ErrBadToken means that the token is malformed, that it belongs to an
	// activity with other IDs, or that its attempt is over. ErrOver means that
	// no such activity is pending. ErrNotStarted means that no attempt is
	// running.
	Find(ctx context.Context, t Target) (Found, error)
}

// Found is an activity whose attempt is running.
type Found struct {
	// Target has all fields. It has the token only if the caller gave one.
	Target           Target
	Attempt          int32
	HeartbeatTimeout time.Duration
	Deadline         time.Time // deadline of the attempt; zero if it is not known
	Status           Status
}

// ErrBadToken means that a task token does not belong to the running attempt.
var ErrBadToken = errors.New("completer: not the task token of a running attempt")

var _ Finder = (*clientCompleter)(nil)

// Find implements [Finder].
func (cc *clientCompleter) Find(ctx context.Context, t Target) (Found, error) {
	token, err := readToken(t.TaskToken)
	if err != nil {
		return Found{}, err
	}
	if t, err = token.name(t); err != nil {
		return Found{}, err
	}
	_, c, err := cc.clientFor(ctx, t)
	if err != nil {
		return Found{}, err
	}
	f := finder{service: c.WorkflowService(), target: t, token: token}
	if t.Standalone() {
		return f.standalone(ctx)
	}
	return f.ofWorkflow(ctx)
}

// token contains the names that Find reads from a task token. Find then
// compares these names with Temporal's answer. A value in a token grants no
// permission.
type token struct {
	given                         bool
	workflowID, runID, activityID string
	scheduledEvent, attempt       uint64
}

// Field numbers of a task token, in all servers so far.
const (
	tokenWorkflowID     = 2
	tokenRunID          = 3
	tokenScheduledEvent = 4
	tokenAttempt        = 5
	tokenActivityID     = 6
)

func readToken(b []byte) (t token, err error) {
	if len(b) == 0 {
		return t, nil
	}
	t.given = true
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return t, fmt.Errorf("%w: it cannot be read", ErrBadToken)
		}
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 {
				switch num {
				case tokenWorkflowID:
					t.workflowID = string(v)
				case tokenRunID:
					t.runID = string(v)
				case tokenActivityID:
					t.activityID = string(v)
				}
			}
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				switch num {
				case tokenScheduledEvent:
					t.scheduledEvent = v
				case tokenAttempt:
					t.attempt = v
				}
			}
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return t, fmt.Errorf("%w: it cannot be read", ErrBadToken)
		}
		b = b[n:]
	}
	if t.activityID == "" || t.attempt == 0 {
		return t, fmt.Errorf("%w: it names no attempt of an activity", ErrBadToken)
	}
	return t, nil
}

// name returns the target with the names in the token. The names in the token
// must not differ from the names that the caller gave.
func (t token) name(target Target) (Target, error) {
	if !t.given {
		return target, nil
	}
	for _, f := range []struct {
		to   *string
		name string
	}{{&target.WorkflowID, t.workflowID}, {&target.RunID, t.runID}, {&target.ActivityID, t.activityID}} {
		if f.name == "" {
			continue
		}
		if target.Standalone() && f.to != &target.ActivityID && target.ActivityRunID != "" {
			continue // the token of a standalone activity names its run in another field
		}
		if *f.to != "" && *f.to != f.name {
			return target, fmt.Errorf("%w: it belongs to another activity", ErrBadToken)
		}
		*f.to = f.name
	}
	return target, nil
}

// fits reports whether the token belongs to the running attempt.
func (t token) fits(attempt int32) error {
	if t.given && t.attempt != uint64(attempt) {
		return fmt.Errorf("%w: it is of attempt %d, and attempt %d runs", ErrBadToken, t.attempt, attempt)
	}
	return nil
}

type finder struct {
	service workflowservice.WorkflowServiceClient
	target  Target
	token   token
}

func (f finder) ofWorkflow(ctx context.Context) (Found, error) {
	answer, err := f.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: f.target.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: f.target.WorkflowID, RunId: f.target.RunID},
	})
	if err != nil {
		return Found{}, classify(err)
	}
	info := answer.GetWorkflowExecutionInfo()
	if open, err := isOpen(info.GetStatus()); err != nil || !open {
		return Found{}, errors.Join(err, fmt.Errorf("%w: its workflow is over", ErrOver))
	}
	var p *workflowpb.PendingActivityInfo
	for _, one := range answer.GetPendingActivities() {
		if one.GetActivityId() == f.target.ActivityID {
			p = one
		}
	}
	switch {
	case p == nil:
		return Found{}, fmt.Errorf("%w: the workflow has no pending activity with this ID", ErrOver)
	case p.GetLastStartedTime() == nil:
		return Found{}, ErrNotStarted
	}
	if err := f.token.fits(p.GetAttempt()); err != nil {
		return Found{}, err
	}
	t := f.target
	t.RunID, t.WorkflowType = info.GetExecution().GetRunId(), info.GetType().GetName()
	t.ActivityType, t.Started = p.GetActivityType().GetName(), asTime(p.GetLastStartedTime())
	scheduled, err := f.scheduled(ctx, t)
	if err != nil {
		return Found{}, err
	}
	a := scheduled.GetActivityTaskScheduledEventAttributes()
	t.Scheduled, t.TaskQueue = asTime(scheduled.GetEventTime()), a.GetTaskQueue().GetName()
	found := Found{Target: t, Attempt: p.GetAttempt(), HeartbeatTimeout: a.GetHeartbeatTimeout().AsDuration(), Status: pendingStatus(p)}
	found.Deadline = deadline(t, a.GetStartToCloseTimeout().AsDuration(), asTime(p.GetExpirationTime()))
	return found, nil
}

// deadline is when the attempt times out.
func deadline(t Target, startToClose time.Duration, expires time.Time) time.Time {
	var at time.Time
	if startToClose > 0 {
		at = t.Started.Add(startToClose)
	}
	if !expires.IsZero() && (at.IsZero() || expires.Before(at)) {
		at = expires
	}
	return at
}

// scheduled returns the event that scheduled a pending activity: the last such
// event with the activity's ID.
func (f finder) scheduled(ctx context.Context, t Target) (*historypb.HistoryEvent, error) {
	request := &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: t.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: t.WorkflowID, RunId: t.RunID}, MaximumPageSize: historyPage,
	}
	for {
		answer, err := f.service.GetWorkflowExecutionHistoryReverse(ctx, request)
		if err != nil {
			return nil, classify(err)
		}
		for _, e := range answer.GetHistory().GetEvents() {
			if e.GetEventType() != enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED || e.GetActivityTaskScheduledEventAttributes().GetActivityId() != t.ActivityID {
				continue
			}
			if f.token.given && f.token.scheduledEvent != uint64(e.GetEventId()) {
				return nil, fmt.Errorf("%w: it belongs to an earlier activity with the same ID", ErrBadToken)
			}
			return e, nil
		}
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil, fmt.Errorf("%w: the history has no such activity", ErrOver)
		}
	}
}

func (f finder) standalone(ctx context.Context) (Found, error) {
	answer, err := f.service.DescribeActivityExecution(ctx, &workflowservice.DescribeActivityExecutionRequest{
		Namespace: f.target.Namespace, ActivityId: f.target.ActivityID, RunId: f.target.ActivityRunID, IncludeLastFailure: true, IncludeHeartbeatDetails: true,
	})
	if err != nil {
		return Found{}, classify(err)
	}
	info := answer.GetInfo()
	switch info.GetStatus() {
	case enumspb.ACTIVITY_EXECUTION_STATUS_RUNNING, enumspb.ACTIVITY_EXECUTION_STATUS_PAUSED:
	default:
		return Found{}, fmt.Errorf("%w: it is not running", ErrOver)
	}
	status := standaloneStatus(info)
	if !status.Running {
		return Found{}, ErrNotStarted
	}
	if err := f.token.fits(info.GetAttempt()); err != nil {
		return Found{}, err
	}
	return Found{Target: f.named(info, status), Attempt: info.GetAttempt(), HeartbeatTimeout: info.GetHeartbeatTimeout().AsDuration(),
		Deadline: deadline(Target{Started: status.Started}, info.GetStartToCloseTimeout().AsDuration(), asTime(info.GetExpirationTime())), Status: status}, nil
}

func (f finder) named(info *activitypb.ActivityExecutionInfo, status Status) Target {
	t := f.target
	t.ActivityRunID, t.ActivityType, t.TaskQueue = info.GetRunId(), info.GetActivityType().GetName(), info.GetTaskQueue()
	t.Scheduled, t.Started = asTime(info.GetScheduleTime()), status.Started
	return t
}
