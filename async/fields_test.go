package async_test

import (
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
)

// TestLogFields checks that all log lines about an entry use the same set of
// fields.
func TestLogFields(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	w := newWorld(t, func(o *async.Options) {
		o.Observer = inlineObserver{badObserver{(&recorder{begin: contextWith(parent)}).Begin}}
	})
	id := w.start(1, async.StartOptions{})
	w.completer.CompleteFunc = stumbles
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	line := ""
	for l := range strings.Lines(w.logs.String()) {
		if strings.Contains(l, "not delivered yet") {
			line = l
		}
	}
	for _, field := range []string{
		"callback=" + async.ShortID(id), "activity_type=Approve", "workflow_id=expense-7", "run_id=run-1", "activity_id=5", "attempt=1",
		"op=deliver", "class=unavailable", "trace_id=0af7651916cd43dd8448eb211c80319c", "error_type=",
	} {
		if !strings.Contains(line, field) {
			t.Errorf("the line lacks %s: %s", field, line)
		}
	}
	if strings.Contains(w.logs.String(), id) {
		t.Error("the log has a callback ID")
	}
}
