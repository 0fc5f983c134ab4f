package main

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// reading is what Temporal has of one activity.
type reading struct {
	number      int
	answer      Answer // that the workflow has read
	completions int    // in the history
	attempt     int32  // that was completed
}

// read returns what a survey has read, and what its history says of it.
func (s *story) read(ctx context.Context, run client.WorkflowRun, first int) ([]reading, error) {
	var answers []Answer
	if err := run.Get(ctx, &answers); err != nil {
		return nil, fmt.Errorf("the survey from question %d on: %w", first, err)
	}
	read := make([]reading, len(answers))
	for i := range read {
		read[i] = reading{number: first + i, answer: answers[i]}
	}
	scheduled := make(map[int64]*reading) // by the event's number
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

// account compares what the survey system was promised with what Temporal has. It
// returns an error that names all that is not as it should be.
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
			wrong(r.number, "it was never asked")
		case !q.taken:
			wrong(r.number, "its answer was not taken")
		case q.wrong != "":
			wrong(r.number, "%s", q.wrong)
		case q.refused != (r.number%rivalEvery == 0):
			wrong(r.number, "a rival's answer was refused: %t", q.refused)
		case r.answer != q.answer:
			wrong(r.number, "the survey system answered %q, the workflow has read %q", q.answer.Text, r.answer.Text)
		case r.completions != 1:
			wrong(r.number, "it was completed %d times", r.completions)
		default:
			right++
		}
	}
	say("%3d activities have the answer that was promised to be delivered, each once", right)
	say("%3d of them asked again, after the worker was killed, under the same callback ID", again)
	say("%3d waited longer than %v, with a heartbeat timeout of %v, and needed no second attempt", kept, long, heartbeatTimeout)
	say("%3d answers were sent more than once, since the first process took no more", resent)
	say("%3d other answers came later, and were refused", rivals)
	if len(read) != total || len(books) != total {
		err = errors.Join(err, fmt.Errorf("%d activities and %d questions, not %d each", len(read), len(books), total))
	}
	if kept == 0 {
		err = errors.Join(err, errors.New("no activity has outlived its heartbeat timeout, so no hub has kept one alive"))
	}
	return lines, err
}
