package completer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// saidWorkflow returns the server's description of a workflow with this status
// and these pending activities.
func saidWorkflow(s enumspb.WorkflowExecutionStatus, pending ...*workflowpb.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: s}, PendingActivities: pending,
	}
}

func running(pending ...*workflowpb.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
	return saidWorkflow(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, pending...)
}

func terminated(left ...*workflowpb.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
	return saidWorkflow(enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, left...)
}

// runs returns an attempt that started n seconds after the activity was scheduled.
func runs(activityID string, n int) *workflowpb.PendingActivityInfo {
	return &workflowpb.PendingActivityInfo{
		ActivityId: activityID, State: enumspb.PENDING_ACTIVITY_STATE_STARTED, LastStartedTime: timestamppb.New(saidAt(n)),
	}
}

// waits returns an activity in backoff after a failure.
func waits(last *failurepb.Failure) *workflowpb.PendingActivityInfo {
	return &workflowpb.PendingActivityInfo{ActivityId: "5", State: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, LastFailure: last}
}

// Only the event that closes an activity shows how it ended. If another
// client's answer passed for Latchkey's, Latchkey's outcome would be lost.
func TestEvidence(t *testing.T) {
	ours, none := "latchkey-mark", (*failurepb.Failure)(nil)
	for name, c := range map[string]struct {
		kind  string // of our outcome
		last  *failurepb.Failure
		close *historypb.HistoryEvent
		want  End
	}{
		"completed by us":                        {kind: "r", last: nil, close: completedEvent(5, us), want: EndOurs},
		"completed by another":                   {kind: "r", last: nil, close: completedEvent(5, others), want: EndOther},
		"completed by us, with another outcome":  {kind: "f", last: nil, close: completedEvent(5, us), want: EndOther},
		"completed by us, asked for none":        {kind: "", last: nil, close: completedEvent(5, us), want: EndOther},
		"canceled by us":                         {kind: "c", last: nil, close: canceledEvent(5, us), want: EndOurs},
		"canceled by another":                    {kind: "c", last: nil, close: canceledEvent(5, others), want: EndOther},
		"canceled by us, with another outcome":   {kind: "r", last: nil, close: canceledEvent(5, us), want: EndOther},
		"failed by us":                           {kind: "f", last: nil, close: failedEvent(5, marked("f"+ours)), want: EndOurs},
		"failed by us, wrapped by the server":    {kind: "f", last: nil, close: failedEvent(5, causedBy(marked("f"+ours))), want: EndOurs},
		"failed by us, with an earlier outcome":  {kind: "f", last: nil, close: failedEvent(5, marked("f-earlier")), want: EndOther},
		"failed by another":                      {kind: "f", last: nil, close: failedEvent(5, new(failurepb.Failure)), want: EndOther},
		"failed by another, asked for none":      {kind: "", last: nil, close: failedEvent(5, new(failurepb.Failure)), want: EndOther},
		"failed with nothing":                    {kind: "f", last: nil, close: failedEvent(5, none), want: EndOther},
		"timed out":                              {kind: "f", last: nil, close: timedOutEvent(5, new(failurepb.Failure)), want: EndTimedOut},
		"timed out, asked for none":              {kind: "", last: nil, close: timedOutEvent(5, new(failurepb.Failure)), want: EndTimedOut},
		"timed out after our failure":            {kind: "f", last: nil, close: timedOutEvent(5, causedBy(marked("f"+ours))), want: EndOurs},
		"timed out after another's failure":      {kind: "f", last: nil, close: timedOutEvent(5, causedBy(marked("f-other"))), want: EndTimedOut},
		"our failure was retried, then done":     {kind: "f", last: marked("f" + ours), close: completedEvent(5, others), want: EndOurs},
		"our large one was retried, then failed": {kind: "f", last: causedBy(marked("f" + ours)), close: failedEvent(5, none), want: EndOurs},
		"our failure was retried, then late":     {kind: "f", last: marked("f" + ours), close: timedOutEvent(5, none), want: EndOurs},
		"another was retried, then done":         {kind: "f", last: marked("f-other"), close: completedEvent(5, others), want: EndOther},
		"another was retried, then done by us":   {kind: "r", last: marked("f-other"), close: completedEvent(5, us), want: EndOurs},
	} {
		t.Run(name, func(t *testing.T) {
			mark := ""
			if c.kind != "" {
				mark = c.kind + ours
			}
			s := &said{workflow: running(), pages: [][]*historypb.HistoryEvent{
				{c.close, startedEvent(5, c.last), scheduledEvent(5, "5", saidAt(0))},
			}}
			wantDescribed(t, s, saidTarget, mark, Status{End: c.want})
		})
	}
}

// wantDescribed checks the status that Describe derives from Temporal's answer.
func wantDescribed(t *testing.T, s *said, target Target, mark string, want Status) {
	t.Helper()
	got, err := s.completer(t).Describe(t.Context(), target, mark)
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if !proto.Equal(got.Details, want.Details) {
		t.Errorf("the details are %v, want %v", got.Details, want.Details)
	}
	got.Details, want.Details = nil, nil
	if got != want {
		type plain Status // without String
		t.Errorf("got %+v, want %+v", plain(got), plain(want))
	}
}

// wantPages checks which pages of history were requested.
func wantPages(t *testing.T, s *said, tokens ...string) {
	t.Helper()
	if !slices.Equal(s.tokens, tokens) {
		t.Errorf("asked for the pages %q, want %q", s.tokens, tokens)
	}
}

// History can be long. Describe reads the history back to the event that
// scheduled the activity, and no further.
func TestHistoryIsReadBackwards(t *testing.T) {
	newer := []*historypb.HistoryEvent{scheduledEvent(20, "6", saidAt(9)), completedEvent(9, others)}
	older := []*historypb.HistoryEvent{scheduledEvent(2, "1", saidAt(-9))}
	end := completedEvent(7, us)
	begin := scheduledEvent(7, "5", saidAt(0))
	for name, c := range map[string]struct {
		pages  [][]*historypb.HistoryEvent
		want   Status
		tokens []string
	}{
		"on the newest page":                  {pages: [][]*historypb.HistoryEvent{{end, begin}, older}, want: Status{End: EndOurs}, tokens: []string{""}},
		"on two pages":                        {pages: [][]*historypb.HistoryEvent{{end}, {begin}, older}, want: Status{End: EndOurs}, tokens: []string{"", "1"}},
		"an empty page between":               {pages: [][]*historypb.HistoryEvent{{end}, {}, {begin}, older, older}, want: Status{End: EndOurs}, tokens: []string{"", "1", "2"}},
		"further back":                        {pages: [][]*historypb.HistoryEvent{newer, newer, {end, begin}, older}, want: Status{End: EndOurs}, tokens: []string{"", "1", "2"}},
		"not closed":                          {pages: [][]*historypb.HistoryEvent{newer, {begin}, older}, want: Status{End: EndBuffered}, tokens: []string{"", "1"}},
		"not scheduled":                       {pages: [][]*historypb.HistoryEvent{newer, {end}, older}, want: Status{End: EndUnknown}, tokens: []string{"", "1", "2"}},
		"nothing is left":                     {pages: nil, want: Status{End: EndUnknown}, tokens: []string{""}},
		"another at the same time":            {pages: [][]*historypb.HistoryEvent{{completedEvent(8, others), scheduledEvent(8, "4", saidAt(0)), end}, {begin}}, want: Status{End: EndOurs}, tokens: []string{"", "1"}},
		"an event with its ID, but not of it": {pages: [][]*historypb.HistoryEvent{{startedEvent(8, marked("r-mark")), end, begin}, older}, want: Status{End: EndOurs}, tokens: []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &said{workflow: running(), pages: c.pages}
			wantDescribed(t, s, saidTarget, "r-mark", c.want)
			wantPages(t, s, c.tokens...)
		})
	}
}

// A run may use an activity ID twice. Only the times at which the two
// activities were scheduled distinguish them.
func TestTwoActivitiesOfOneID(t *testing.T) {
	first, second := saidTarget, saidTarget
	second.Scheduled, second.Started = saidAt(100), saidAt(101)
	begin := []*historypb.HistoryEvent{scheduledEvent(5, "5", saidAt(0))}
	newest := func(es ...*historypb.HistoryEvent) [][]*historypb.HistoryEvent {
		return [][]*historypb.HistoryEvent{append(es, scheduledEvent(10, "5", saidAt(100)), completedEvent(5, us)), begin}
	}
	for name, c := range map[string]struct {
		target   Target
		workflow *workflowservice.DescribeWorkflowExecutionResponse
		pages    [][]*historypb.HistoryEvent
		want     Status
		tokens   []string
	}{
		"the first, while the second runs":   {target: first, workflow: running(runs("5", 101)), pages: newest(), want: Status{End: EndOurs}, tokens: []string{"", "1"}},
		"the first, when both are over":      {target: first, workflow: running(), pages: newest(completedEvent(10, others)), want: Status{End: EndOurs}, tokens: []string{"", "1"}},
		"the second, when both are over":     {target: second, workflow: running(), pages: newest(completedEvent(10, others)), want: Status{End: EndOther}, tokens: []string{""}},
		"the second, which ended just now":   {target: second, workflow: running(), pages: newest(), want: Status{End: EndBuffered}, tokens: []string{""}},
		"the second, of which a reset began": {target: second, workflow: running(runs("5", 102)), pages: newest(), want: Status{Pending: true, Running: true, Started: saidAt(102)}, tokens: []string{""}},
		"the second, in back-off":            {target: second, workflow: running(waits(nil)), pages: newest(), want: Status{Pending: true}, tokens: []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &said{workflow: c.workflow, pages: c.pages}
			wantDescribed(t, s, c.target, "r-mark", c.want)
			wantPages(t, s, c.tokens...)
		})
	}
}

// If the pending activity is the attempt that the entry knows, Describe reads
// no history.
func TestPending(t *testing.T) {
	history := [][]*historypb.HistoryEvent{{scheduledEvent(5, "5", saidAt(0))}}
	full := &workflowpb.PendingActivityInfo{
		ActivityId: "5", State: enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED, Paused: true, Attempt: 3,
		LastStartedTime: timestamppb.New(saidAt(1)), LastHeartbeatTime: timestamppb.New(saidAt(2)), LastFailure: causedBy(marked("f1")),
		HeartbeatDetails: &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("half")}}},
	}
	unknown, retried := saidTarget, marked("f2")
	unknown.Started = time.Time{}
	for name, c := range map[string]struct {
		target   Target
		workflow *workflowservice.DescribeWorkflowExecutionResponse
		want     Status
		pages    int
	}{
		"the attempt that is known": {target: saidTarget, workflow: running(runs("4", 1), runs("5", 1), runs("6", 1)), want: Status{Pending: true, Running: true, Started: saidAt(1)}, pages: 0},
		"with all there is": {target: saidTarget, workflow: running(full), want: Status{
			Pending: true, Running: true, CancelRequested: true, Paused: true, Started: saidAt(1),
			LastMark: "f1", LastFailure: full.LastFailure, Details: full.HeartbeatDetails, LastHeartbeat: saidAt(2),
		}, pages: 0},
		"of a workflow that is paused": {target: saidTarget, workflow: saidWorkflow(enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, runs("5", 1)), want: Status{Pending: true, Running: true, Started: saidAt(1)}, pages: 0},
		"a later attempt":              {target: saidTarget, workflow: running(runs("5", 2)), want: Status{Pending: true, Running: true, Started: saidAt(2)}, pages: 1},
		"in back-off":                  {target: saidTarget, workflow: running(waits(retried)), want: Status{Pending: true, LastMark: "f2", LastFailure: retried}, pages: 1},
		"of no known attempt":          {target: unknown, workflow: running(waits(nil)), want: Status{Pending: true}, pages: 1},
		"another's attempt":            {target: saidTarget, workflow: running(runs("4", 1)), want: Status{End: EndBuffered}, pages: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &said{workflow: c.workflow, pages: history}
			wantDescribed(t, s, c.target, "", c.want)
			if len(s.tokens) != c.pages {
				t.Errorf("asked for %d pages of history, want %d", len(s.tokens), c.pages)
			}
		})
	}
}

// When a workflow ends, its activities end. An unknown state of a newer server
// is an error, because the fate of an accepted outcome depends on the state.
func TestWorkflowStatus(t *testing.T) {
	for status, want := range map[enumspb.WorkflowExecutionStatus]struct {
		end   End
		known bool
	}{
		enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:          {EndBuffered, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:           {EndBuffered, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:        {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:           {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:         {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:       {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:        {EndOther, true},
		enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:      {},
		99: {},
	} {
		t.Run(status.String(), func(t *testing.T) {
			s := &said{workflow: saidWorkflow(status), pages: [][]*historypb.HistoryEvent{{scheduledEvent(5, "5", saidAt(0))}}}
			if want.known {
				wantDescribed(t, s, saidTarget, "r1", Status{End: want.end})
				return
			}
			got, err := s.completer(t).Describe(t.Context(), saidTarget, "r1")
			wantClass(t, err, nil)
			if got.Pending || len(s.tokens) != 0 {
				t.Errorf("guessed %v, with %d pages of history", got, len(s.tokens))
			}
		})
	}
}

// A terminated workflow still lists its pending activities. Temporal may have
// accepted Latchkey's failure before, and may be about to retry the activity.
func TestLeftByATerminatedWorkflow(t *testing.T) {
	history := [][]*historypb.HistoryEvent{{scheduledEvent(5, "5", saidAt(0))}}
	for name, c := range map[string]struct {
		mark     string
		workflow *workflowservice.DescribeWorkflowExecutionResponse
		want     End
	}{
		"after our failure":             {mark: "f1", workflow: terminated(waits(marked("f1"))), want: EndOurs},
		"after our large failure":       {mark: "f1", workflow: terminated(waits(causedBy(marked("f1")))), want: EndOurs},
		"after another's failure":       {mark: "f1", workflow: terminated(waits(marked("f2"))), want: EndOther},
		"after none":                    {mark: "f1", workflow: terminated(waits(nil)), want: EndOther},
		"after none, asked for none":    {mark: "", workflow: terminated(waits(nil)), want: EndOther},
		"running":                       {mark: "r1", workflow: terminated(runs("5", 1)), want: EndOther},
		"another activity, our failure": {mark: "f1", workflow: terminated(&workflowpb.PendingActivityInfo{ActivityId: "4", LastFailure: marked("f1")}), want: EndOther},
	} {
		t.Run(name, func(t *testing.T) {
			wantDescribed(t, &said{workflow: c.workflow, pages: history}, saidTarget, c.mark, Status{End: c.want})
		})
	}
}

// Only NotFound means that the server no longer knows the activity. Any other
// answer is an error, and proves nothing.
func TestDescribeErrors(t *testing.T) {
	history := [][]*historypb.HistoryEvent{{completedEvent(5, us)}, {scheduledEvent(5, "5", saidAt(0))}}
	for name, c := range map[string]struct {
		err     error
		unknown bool
		class   error
	}{
		"gone":                {err: serviceerror.NewNotFound("workflow"), unknown: true, class: nil},
		"namespace not found": {err: serviceerror.NewNamespaceNotFound("default"), unknown: false, class: ErrRefused},
		"permission denied":   {err: serviceerror.NewPermissionDenied("no", ""), unknown: false, class: ErrRefused},
		"unavailable":         {err: serviceerror.NewUnavailable("away"), unknown: false, class: nil},
		"late":                {err: context.DeadlineExceeded, unknown: false, class: nil},
	} {
		for where, s := range map[string]*said{
			"describe":        {err: c.err},
			"history":         {workflow: running(), pages: history, pageErr: map[string]error{"": c.err}},
			"history, page 2": {workflow: running(), pages: history, pageErr: map[string]error{"1": c.err}},
			"closed workflow": {workflow: terminated(waits(marked("r1"))), pages: history, pageErr: map[string]error{"1": c.err}},
		} {
			t.Run(where+"/"+name, func(t *testing.T) {
				if c.unknown {
					wantDescribed(t, s, saidTarget, "r1", Status{End: EndUnknown})
					return
				}
				_, err := s.completer(t).Describe(t.Context(), saidTarget, "r1")
				wantClass(t, err, c.class)
				if !errors.Is(err, c.err) {
					t.Errorf("%v has lost its cause", err)
				}
			})
		}
	}
}
