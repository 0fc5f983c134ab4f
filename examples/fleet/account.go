package main

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// reading is Temporal's data about one activity.
type reading struct {
	number      int
	answer      Answer // the answer that the workflow has read
	completions int    // in the history
	attempt     int32  // the attempt that was completed
}

// read returns the result of a workflow and the contents of its history.
func (s *story) read(ctx context.Context, run client.WorkflowRun, first int) ([]reading, error) {
	var answers []Answer
	if err := run.Get(ctx, &answers); err != nil {
		return nil, fmt.Errorf("the survey from question %d on: %w", first, err)
	}
	read := make([]reading, len(answers))
	for i := range read {
		read[i] = reading{number: first + i, answer: answers[i]}
	}
	scheduled := make(map[int64]*reading) // keyed by the event's number
	events := s.server.Client.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return nil, err
		}
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			var number int
			input := e.GetActivityTaskScheduledEventAttributes().GetInput()
			if err := converter.GetDefaultDataConverter().FromPayloads(input, &number); err != nil {
				return nil, err
			}
			if i := number - first; i >= 0 && i < len(read) {
				scheduled[e.GetEventId()] = &read[i]
			}
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			a := e.GetActivityTaskStartedEventAttributes()
			if r := scheduled[a.GetScheduledEventId()]; r != nil {
				r.attempt = a.GetAttempt()
			}
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			if r := scheduled[e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()]; r != nil {
				r.completions++
			}
		}
	}
	return read, nil
}

// long is a wait that an activity survives only with heartbeats.
const long = heartbeatTimeout * 3 / 2

// account compares the answers that were promised to the survey system with
// what Temporal has. account returns an error that names all differences.
func account(books map[int]question, read []reading) (lines []string, err error) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf("  "+format, args...)) }
	wrong := func(number int, format string, args ...any) {
		err = errors.Join(err, fmt.Errorf("question %d: %s", number, fmt.Sprintf(format, args...)))
	}
	var again, resent, right, rivals, kept int
	for _, r := range read {
		q := books[r.number]
		if q.times > 1 {
			again++
		}
		if q.sent > 1 {
			resent++
		}
		if q.refused {
			rivals++
		}
		if q.waited > long && r.attempt == 1 {
			kept++
		}
		switch {
		case q.times == 0:
			wrong(r.number, "it was not asked")
		case !q.taken:
			wrong(r.number, "its answer was not accepted")
		case q.wrong != "":
			wrong(r.number, "%s", q.wrong)
		case q.refused != (r.number%rivalEvery == 0):
			wrong(r.number, "a different answer was refused: %t", q.refused)
		case r.answer != q.answer:
			wrong(r.number, "the survey system answered %q, and the workflow has %q", q.answer.Text, r.answer.Text)
		case r.completions != 1:
			wrong(r.number, "it was completed %d times", r.completions)
		default:
			right++
		}
	}
	say("%3d activities have the answer that a process accepted, each once", right)
	say("%3d of them asked again after the worker was killed, with the same callback ID", again)
	say("%3d waited longer than %v, with a heartbeat timeout of %v, and needed no second attempt", kept, long, heartbeatTimeout)
	say("%3d answers were sent more than once, because the first process was dead", resent)
	say("%3d different answers came later, and were refused", rivals)
	if len(read) != total || len(books) != total {
		err = errors.Join(err, fmt.Errorf("%d activities and %d questions, not %d each", len(read), len(books), total))
	}
	if kept == 0 {
		err = errors.Join(err, errors.New("no activity waited longer than its heartbeat timeout, so the example shows no heartbeats"))
	}
	return lines, err
}
