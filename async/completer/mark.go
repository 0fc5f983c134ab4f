package completer

import (
	"strings"

	failurepb "go.temporal.io/api/failure/v1"
)

// sourcePrefix is the beginning of Failure.Source in every failure that
// Latchkey sends. The mark behind the prefix identifies the failure. A retried
// failure leaves no event in history. Temporal shows it only as the last
// failure of the pending activity.
const sourcePrefix = "latchkey:"

// FailureSource returns the Source of a failure with this mark.
func FailureSource(mark string) string { return sourcePrefix + mark }

// FailureMark returns the mark that a failure or one of its causes carries, or
// "". The server wraps a failure above 4 KiB in a failure of its own, and a
// timeout has the last failure as its cause.
func FailureMark(f *failurepb.Failure) string {
	for ; f != nil; f = f.GetCause() {
		if mark, ok := strings.CutPrefix(f.GetSource(), sourcePrefix); ok {
			return mark
		}
	}
	return ""
}
