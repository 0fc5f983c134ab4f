package completer

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// said is a fake Temporal server with answers that the test sets. said records
// the requests.
type said struct {
	t        *testing.T
	workflow *workflowservice.DescribeWorkflowExecutionResponse
	activity *workflowservice.DescribeActivityExecutionResponse
	err      error                       // if err is set, the fake returns it instead of an answer
	pages    [][]*historypb.HistoryEvent // newest page first; the events of a page are also newest first
	pageErr  map[string]error            // by page token

	tokens []string // the tokens of the requested pages; the newest page has none
}

var saidTarget = Target{
	Namespace: "default", WorkflowID: "expense-7", RunID: "run-1", ActivityID: "5",
	TaskToken: []byte("token"), Scheduled: saidAt(0), Started: saidAt(1),
}

// saidAt returns the time n seconds after the activity was scheduled.
func saidAt(n int) time.Time {
	return time.Date(2026, 11, 23, 9, 0, n, 123456789, time.UTC)
}

func (s *said) DescribeWorkflowExecution(_ context.Context, r *workflowservice.DescribeWorkflowExecutionRequest) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	s.want(r, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: "expense-7", RunId: "run-1"},
	})
	return s.workflow, s.err
}

func (s *said) GetWorkflowExecutionHistoryReverse(_ context.Context, r *workflowservice.GetWorkflowExecutionHistoryReverseRequest) (*workflowservice.GetWorkflowExecutionHistoryReverseResponse, error) {
	token := string(r.GetNextPageToken())
	s.tokens = append(s.tokens, token)
	s.want(r, &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: "expense-7", RunId: "run-1"},
		MaximumPageSize: historyPage, NextPageToken: r.GetNextPageToken(),
	})
	if len(s.tokens) > 10 {
		return nil, errors.New("history is asked for without end")
	}
	if err := s.pageErr[token]; err != nil {
		return nil, err
	}
	page, _ := strconv.Atoi(token)
	answer := &workflowservice.GetWorkflowExecutionHistoryReverseResponse{History: new(historypb.History)}
	if page < len(s.pages) {
		answer.History.Events = s.pages[page]
	}
	if page+1 < len(s.pages) {
		answer.NextPageToken = []byte(strconv.Itoa(page + 1))
	}
	return answer, nil
}

func (s *said) DescribeActivityExecution(_ context.Context, r *workflowservice.DescribeActivityExecutionRequest) (*workflowservice.DescribeActivityExecutionResponse, error) {
	s.want(r, &workflowservice.DescribeActivityExecutionRequest{
		Namespace: "default", ActivityId: "5", RunId: "activity-run-1",
		IncludeOutcome: true, IncludeLastFailure: true, IncludeHeartbeatDetails: true,
	})
	return s.activity, s.err
}

func (s *said) want(got, want proto.Message) {
	s.t.Helper()
	if !proto.Equal(got, want) {
		s.t.Errorf("asked for %v, want %v", got, want)
	}
}

// service creates a client of the fake server. The type of the call options
// belongs to a package that this module does not require, so the compiler
// infers it.
type service[O any] struct {
	workflowservice.WorkflowServiceClient
	said *said
}

func newService[O any](s *said, _ func(workflowservice.WorkflowServiceClient, context.Context, *workflowservice.DescribeActivityExecutionRequest, ...O) (*workflowservice.DescribeActivityExecutionResponse, error)) service[O] {
	return service[O]{said: s}
}

func (s service[O]) DescribeWorkflowExecution(ctx context.Context, r *workflowservice.DescribeWorkflowExecutionRequest, _ ...O) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return s.said.DescribeWorkflowExecution(ctx, r)
}

func (s service[O]) GetWorkflowExecutionHistoryReverse(ctx context.Context, r *workflowservice.GetWorkflowExecutionHistoryReverseRequest, _ ...O) (*workflowservice.GetWorkflowExecutionHistoryReverseResponse, error) {
	return s.said.GetWorkflowExecutionHistoryReverse(ctx, r)
}

func (s service[O]) DescribeActivityExecution(ctx context.Context, r *workflowservice.DescribeActivityExecutionRequest, _ ...O) (*workflowservice.DescribeActivityExecutionResponse, error) {
	return s.said.DescribeActivityExecution(ctx, r)
}

// saidClient is the part of an SDK client that a completer uses.
type saidClient struct {
	client.Client
	service workflowservice.WorkflowServiceClient
	err     error // of each completion
}

func (c saidClient) WorkflowService() workflowservice.WorkflowServiceClient { return c.service }

func (c saidClient) CompleteActivityWithOptions(context.Context, client.CompleteActivityOptions) error {
	return c.err
}

func (c saidClient) CompleteActivityByIDWithOptions(context.Context, client.CompleteActivityByIDOptions) error {
	return c.err
}

func (c saidClient) CompleteActivityByActivityIDWithOptions(context.Context, client.CompleteActivityByActivityIDOptions) error {
	return c.err
}

// completerOf returns a completer that uses the given client directly, because
// no client can be derived from it.
func completerOf(c client.Client) *clientCompleter {
	n := &namespaceClient{namespace: "default"}
	n.derived.Store(&c)
	cc := new(clientCompleter)
	cc.clients.add(n)
	return cc
}

// completer returns a completer that uses this fake.
func (s *said) completer(t *testing.T) *clientCompleter {
	s.t = t
	return completerOf(saidClient{service: newService(s, workflowservice.WorkflowServiceClient.DescribeActivityExecution)})
}

// us and others are the identities of clients that end an activity: us is
// Latchkey's.
const (
	us     = "worker@host" + identitySuffix
	others = "worker@host"
)

// marked returns a failure with a mark.
func marked(mark string) *failurepb.Failure {
	return &failurepb.Failure{Message: "no", Source: FailureSource(mark)}
}

// causedBy returns a failure of the server that wraps a failure it has
// received.
func causedBy(f *failurepb.Failure) *failurepb.Failure {
	return &failurepb.Failure{Message: "too large", Source: "Server", Cause: f}
}

// scheduledEvent is the event that scheduled the activity. The events below
// refer to the scheduled event by its ID.
func scheduledEvent(id int64, activityID string, at time.Time) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventId: id, EventTime: timestamppb.New(at), EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: activityID},
		},
	}
}

func startedEvent(of int64, last *failurepb.Failure) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
		Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
			ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: of, LastFailure: last},
		},
	}
}

func completedEvent(of int64, by string) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: of, Identity: by},
		},
	}
}

func canceledEvent(of int64, by string) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCanceledEventAttributes{
			ActivityTaskCanceledEventAttributes: &historypb.ActivityTaskCanceledEventAttributes{ScheduledEventId: of, Identity: by},
		},
	}
}

func failedEvent(of int64, f *failurepb.Failure) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{
			ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{ScheduledEventId: of, Failure: f, Identity: us},
		},
	}
}

func timedOutEvent(of int64, f *failurepb.Failure) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
		Attributes: &historypb.HistoryEvent_ActivityTaskTimedOutEventAttributes{
			ActivityTaskTimedOutEventAttributes: &historypb.ActivityTaskTimedOutEventAttributes{ScheduledEventId: of, Failure: f},
		},
	}
}
