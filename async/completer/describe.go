package completer

import (
	"context"
	"fmt"
	"strings"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// historyPage is the number of events that one call reads, backwards from the
// end.
const historyPage = 250

// Describe reads the state of the activity. The state may not show which of
// several activities with one ID it describes, or how the activity ended.
// Describe then also reads the history back to the event that scheduled the
// activity.
func (cc *clientCompleter) Describe(ctx context.Context, t Target, mark string) (Status, error) {
	_, c, err := cc.clientFor(ctx, t)
	if err != nil {
		return Status{}, err
	}
	d := describer{service: c.WorkflowService(), lookups: &cc.lookups, target: t, mark: mark}
	if t.Standalone() {
		return d.standalone(ctx)
	}
	return d.ofWorkflow(ctx)
}

type describer struct {
	service workflowservice.WorkflowServiceClient
	lookups *lookups
	target  Target
	mark    string
}

func (d describer) ofWorkflow(ctx context.Context) (Status, error) {
	execution := &commonpb.WorkflowExecution{WorkflowId: d.target.WorkflowID, RunId: d.target.RunID}
	asked := run{d.target.Namespace, d.target.WorkflowID, d.target.RunID}
	answer, err := d.lookups.describe(ctx, asked, func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
		return d.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: d.target.Namespace, Execution: execution,
		})
	})
	if isGone(err) {
		return Status{End: EndUnknown}, nil // the history is past the namespace's retention
	} else if err != nil {
		return Status{}, classify(err)
	}
	running, err := isOpen(answer.GetWorkflowExecutionInfo().GetStatus())
	if err != nil {
		return Status{}, err
	}
	var pending, left *workflowpb.PendingActivityInfo
	for _, p := range answer.GetPendingActivities() {
		switch {
		case p.GetActivityId() != d.target.ActivityID:
		case running:
			pending = p
		default:
			left = p // a terminated workflow still lists its pending activities
		}
	}
	// In the answer of a describe call, only the start of an attempt
	// distinguishes the activity from another one with the same ID.
	if pending != nil && !d.target.Started.IsZero() && asTime(pending.GetLastStartedTime()).Equal(d.target.Started) {
		return pendingStatus(pending), nil
	}
	found, closing, err := d.history(ctx, execution)
	switch {
	case err != nil:
		return Status{}, err
	case !found:
		return Status{End: EndUnknown}, nil
	case closing != nil:
		return Status{End: d.evidence(closing)}, nil
	case pending != nil:
		return pendingStatus(pending), nil
	case running:
		return Status{End: EndBuffered}, nil
	case d.ours(FailureMark(left.GetLastFailure())):
		return Status{End: EndOurs}, nil // the failure was accepted, and there is no further retry
	default:
		return Status{End: EndOther}, nil
	}
}

// isOpen reports whether a workflow's activities can still be answered. The
// activities of a paused workflow can. isOpen returns ErrUnknownStatus for a
// status of a newer server.
func isOpen(s enumspb.WorkflowExecutionStatus) (bool, error) {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return true, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return false, nil
	default:
		return false, fmt.Errorf("%w %v of a workflow", ErrUnknownStatus, s)
	}
}

func pendingStatus(p *workflowpb.PendingActivityInfo) Status {
	return Status{
		Pending:         true,
		Running:         p.GetLastStartedTime() != nil,
		CancelRequested: p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
		Paused:          p.GetPaused(),
		Started:         asTime(p.GetLastStartedTime()),
		LastMark:        FailureMark(p.GetLastFailure()),
		LastFailure:     p.GetLastFailure(),
		Details:         p.GetHeartbeatDetails(),
		LastHeartbeat:   asTime(p.GetLastHeartbeatTime()),
	}
}

// ending is the history's record of a closed activity.
type ending struct {
	event *historypb.HistoryEvent
	// retried is the mark of the failure that ended the attempt before the last
	// one. Temporal writes the event of a start when the activity closes, and
	// the event contains that mark.
	retried string
}

// history reads the events of the workflow backwards, up to the event that
// scheduled the target. history returns whether that event exists, and how the
// activity closed if it has closed.
func (d describer) history(ctx context.Context, execution *commonpb.WorkflowExecution) (found bool, closing *ending, err error) {
	closed := make(map[int64]*ending) // keyed by the ID of the scheduled event
	retried := make(map[int64]string)
	request := &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: d.target.Namespace, Execution: execution, MaximumPageSize: historyPage,
	}
	for {
		answer, err := d.service.GetWorkflowExecutionHistoryReverse(ctx, request)
		if isGone(err) {
			return false, nil, nil
		} else if err != nil {
			return false, nil, classify(err)
		}
		for _, e := range answer.GetHistory().GetEvents() {
			switch e.GetEventType() {
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
				closed[e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()] = &ending{event: e}
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
				closed[e.GetActivityTaskFailedEventAttributes().GetScheduledEventId()] = &ending{event: e}
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
				closed[e.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId()] = &ending{event: e}
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
				closed[e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId()] = &ending{event: e}
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
				started := e.GetActivityTaskStartedEventAttributes()
				retried[started.GetScheduledEventId()] = FailureMark(started.GetLastFailure())
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
				if e.GetActivityTaskScheduledEventAttributes().GetActivityId() != d.target.ActivityID ||
					!asTime(e.GetEventTime()).Equal(d.target.Scheduled) {
					continue
				}
				closing := closed[e.GetEventId()]
				if closing != nil {
					closing.retried = retried[e.GetEventId()]
				}
				return true, closing, nil
			}
		}
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return false, nil, nil
		}
	}
}

// evidence judges how an activity of a workflow ended.
func (d describer) evidence(e *ending) End {
	if d.mark != "" && e.retried == d.mark {
		return EndOurs
	}
	switch a := e.event; a.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		return d.byIdentity("r", a.GetActivityTaskCompletedEventAttributes().GetIdentity())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		return d.byIdentity("c", a.GetActivityTaskCanceledEventAttributes().GetIdentity())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		if d.ours(FailureMark(a.GetActivityTaskTimedOutEventAttributes().GetFailure())) {
			return EndOurs
		}
		return EndTimedOut
	default:
		if d.ours(FailureMark(a.GetActivityTaskFailedEventAttributes().GetFailure())) {
			return EndOurs
		}
		return EndOther
	}
}

// byIdentity judges an end that has no failure with a mark. An activity
// completes or is cancelled only once, so the kind of the outcome is enough.
func (d describer) byIdentity(kind, identity string) End {
	if strings.HasPrefix(d.mark, kind) && strings.HasSuffix(identity, identitySuffix) {
		return EndOurs
	}
	return EndOther
}

func (d describer) ours(mark string) bool { return d.mark != "" && mark == d.mark }

func (d describer) standalone(ctx context.Context) (Status, error) {
	answer, err := d.service.DescribeActivityExecution(ctx, &workflowservice.DescribeActivityExecutionRequest{
		Namespace: d.target.Namespace, ActivityId: d.target.ActivityID, RunId: d.target.ActivityRunID,
		IncludeOutcome: true, IncludeLastFailure: true, IncludeHeartbeatDetails: true,
	})
	if isGone(err) {
		return Status{End: EndUnknown}, nil
	} else if err != nil {
		return Status{}, classify(err)
	}
	info := answer.GetInfo()
	switch info.GetStatus() {
	case enumspb.ACTIVITY_EXECUTION_STATUS_RUNNING, enumspb.ACTIVITY_EXECUTION_STATUS_PAUSED:
		return standaloneStatus(info), nil
	case enumspb.ACTIVITY_EXECUTION_STATUS_COMPLETED, enumspb.ACTIVITY_EXECUTION_STATUS_FAILED, enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED,
		enumspb.ACTIVITY_EXECUTION_STATUS_TERMINATED, enumspb.ACTIVITY_EXECUTION_STATUS_TIMED_OUT:
		return Status{End: d.standaloneEvidence(info, answer.GetOutcome())}, nil
	default:
		return Status{}, fmt.Errorf("%w %v of an activity", ErrUnknownStatus, info.GetStatus())
	}
}

func standaloneStatus(info *activitypb.ActivityExecutionInfo) Status {
	s := Status{
		Pending:       true,
		LastMark:      FailureMark(info.GetLastFailure()),
		LastFailure:   info.GetLastFailure(),
		Details:       info.GetHeartbeatDetails(),
		LastHeartbeat: asTime(info.GetLastHeartbeatTime()),
	}
	switch info.GetRunState() {
	case enumspb.PENDING_ACTIVITY_STATE_STARTED:
		s.Running = true
	case enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
		s.Running, s.CancelRequested = true, true
	case enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED:
		s.Running, s.Paused = true, true
	case enumspb.PENDING_ACTIVITY_STATE_PAUSED:
		s.Paused = true
	}
	// In backoff, LastStartedTime still belongs to the previous attempt.
	if s.Running {
		s.Started = asTime(info.GetLastStartedTime())
	}
	return s
}

func (d describer) standaloneEvidence(info *activitypb.ActivityExecutionInfo, o *activitypb.ActivityExecutionOutcome) End {
	if d.ours(FailureMark(info.GetLastFailure())) || d.ours(FailureMark(o.GetFailure())) {
		return EndOurs
	}
	switch info.GetStatus() {
	case enumspb.ACTIVITY_EXECUTION_STATUS_COMPLETED:
		return d.byIdentity("r", info.GetLastWorkerIdentity())
	case enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED:
		// No field shows which client cancelled the activity, and the outcome
		// is the same in both cases.
		if strings.HasPrefix(d.mark, "c") {
			return EndOurs
		}
		return EndOther
	case enumspb.ACTIVITY_EXECUTION_STATUS_TIMED_OUT:
		return EndTimedOut
	default:
		return EndOther
	}
}

// isGone reports whether the server no longer knows the activity or workflow.
func isGone(err error) bool { return is[*serviceerror.NotFound](err) }

func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
