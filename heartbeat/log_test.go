package heartbeat_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/heartbeat"
)

// No way of logging an activity shows its callback ID.
func TestActivityIsSafeToLogAsJSON(t *testing.T) {
	a := heartbeat.Activity{ID: "the-callback-id", Type: "Approve", WorkflowID: "expense-7", Reference: "job-42"}
	nested := struct{ Activities []heartbeat.Activity }{[]heartbeat.Activity{a}}
	for name, handler := range map[string]func(*strings.Builder) slog.Handler{
		"JSON": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		for what, v := range map[string]any{"an activity": a, "a pointer": &a, "one in another value": nested} {
			var shown strings.Builder
			slog.New(handler(&shown)).Info("asked", slog.Any("activity", v))
			if strings.Contains(shown.String(), a.ID) {
				t.Errorf("%s as %s shows the callback ID: %s", what, name, &shown)
			}
			if !strings.Contains(shown.String(), a.Type) || !strings.Contains(shown.String(), a.WorkflowID) {
				t.Errorf("%s as %s doesn't tell which activity it is: %s", what, name, &shown)
			}
			if what != "one in another value" && strings.Contains(shown.String(), a.Reference) {
				t.Errorf("%s as %s shows the outside's reference: %s", what, name, &shown)
			}
		}
	}
	b, err := json.Marshal(a)
	if err != nil || strings.Contains(string(b), a.ID) {
		t.Errorf("as JSON it is %s, %v, want it without the callback ID", b, err)
	}
}
