package completer

import (
	"strings"

	failurepb "go.temporal.io/api/failure/v1"
)

// sourcePrefix begins Failure.Source of every failure that Latchkey sends. The
// mark behind it identifies the failure: a retried failure leaves no event in
// history, only the last failure of the pending activity.
const sourcePrefix = "latchkey:"

// FailureSource returns the Source of a failure with this mark.
func FailureSource(mark string) string { return sourcePrefix + mark }

// FailureMark returns the mark that a failure or one of its causes carries, or
// "". The server wraps a failure above 4 KiB in one of its own, and a timeout
// has the last failure as its cause.
func FailureMark(f *failurepb.Failure) string {
	for ; f != nil; f = f.GetCause() {
		if mark, ok := strings.CutPrefix(f.GetSource(), sourcePrefix); ok {
			return mark
		}
	}
	return ""
}
