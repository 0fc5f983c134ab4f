package async

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// fields returns the attributes of a log line about an operation on an entry.
// No other function makes them. docs/observability.md lists them. rec is nil if
// the record could not be read. An unknown operation or class is empty. fields
// logs the type of the error, because its text may contain anything.
func fields(id string, r *record.Record, op Op, class string, err error) []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text("callback", store.ShortID(id))
	if r != nil {
		text("activity_type", r.ActivityType)
		text("workflow_id", r.WorkflowId)
		text("run_id", r.RunId)
		text("activity_id", r.ActivityId)
		if r.Attempt > 0 {
			attrs = append(attrs, slog.Int("attempt", int(r.Attempt)))
		}
	}
	text("op", string(op))
	text("class", class)
	text("trace_id", traceID(r.GetCarry()["traceparent"]))
	if err != nil {
		text("error_type", fmt.Sprintf("%T", err))
	}
	return attrs
}

// anys converts attributes to the arguments of Logger.With.
func anys(attrs []slog.Attr) []any {
	all := make([]any, len(attrs))
	for i, a := range attrs {
		all[i] = a
	}
	return all
}

// traceID returns the trace ID of a W3C traceparent that an observer has
// stored, or "".
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
