package board_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// finding is a fake of Temporal that finds every activity to be adopted.
type finding struct{ *asynctest.Completer }

func (finding) Find(_ context.Context, t completer.Target) (completer.Found, error) {
	now := time.Now()
	t.WorkflowType, t.ActivityType, t.TaskQueue, t.RunID = "Expense", "approve", "expenses", "run-1"
	t.Scheduled, t.Started = now.Add(-time.Minute), now.Add(-time.Second)
	return completer.Found{Target: t, Attempt: 1, HeartbeatTimeout: time.Minute, Deadline: now.Add(time.Hour), Status: completer.Status{Pending: true, Running: true, Started: t.Started}}, nil
}

// planted is an entry of an activity whose token, callback ID, heartbeat
// details and votes are secrets. The test searches for each secret in several
// encodings.
func (r *rig) planted(h *async.Hub, name string) (p async.Pending[Decision], id string) {
	r.t.Helper()
	token := "t0ken-" + name + "-of-the-task"
	p, err := async.Adopt[Decision](r.t.Context(), h, async.AdoptOptions{Namespace: "default", WorkflowID: "expense-" + name, ActivityID: "5", TaskToken: []byte(token)})
	if err != nil {
		r.t.Fatal(err)
	}
	id = p.Info().ID
	details, vote := "det4ils-"+name+"-of-the-job", "v0te-"+name+"-of-ada"
	if err := p.Heartbeat(r.t.Context(), details); err != nil {
		r.t.Fatal(err)
	}
	data, _ := json.Marshal(vote)
	if err := p.Note(r.t.Context(), async.Note{Kind: "vote", By: "ada", Data: data}); err != nil {
		r.t.Fatal(err)
	}
	for _, s := range []string{token, details, vote, p.ID(), strings.TrimPrefix(p.ID(), id)} {
		r.plant(s, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)))
	}
	return p, id
}

// No token, answer, detail or callback ID is in a page, a JSON document, a
// header or a log line. The rule holds in every state and after every action.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t)
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := asynctest.NewHub(t, async.Options{Store: r.store, Completer: finding{r.temporal}, Logger: logger})
	refuses := func(context.Context, completer.Target, completer.Outcome) error {
		return fmt.Errorf("%w: %s", completer.ErrRefused, "the token is not of the namespace")
	}
	answers := map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"waiting": nil,
		"result": func(ctx context.Context, p async.Pending[Decision]) error {
			return p.Complete(ctx, Decision{Approved: true, By: secret})
		},
		"failure": func(ctx context.Context, p async.Pending[Decision]) error {
			return p.Fail(ctx, temporal.NewApplicationError(secret, "Lost", secret))
		},
		"rejection": func(ctx context.Context, p async.Pending[Decision]) error { return p.Reject(ctx, errors.New(secret)) },
	}
	var ids, callbacks []string
	for name, answer := range answers {
		for _, state := range []string{"settled", "ended"} {
			if r.temporal.CompleteFunc = nil; state == "settled" {
				r.temporal.CompleteFunc = refuses
			}
			p, id := r.planted(h, name+"-"+state)
			if answer != nil {
				if err := answer(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			ids, callbacks = append(ids, id), append(callbacks, p.ID())
		}
	}
	r.temporal.CompleteFunc = refuses
	look := func() {
		paths := []string{"/", "/waiting", "/settled", "/ended", "/all", "/counts", "/openapi.json", "/all?class=refused", "/all?workflow=expense-result-settled", "/waiting?watch=1"}
		for _, id := range ids {
			paths = append(paths, "/entries/"+id)
		}
		for _, path := range paths {
			for _, accept := range []string{asPage, asJSON} {
				if a := r.do("GET", path, accept, ""); a.status != 200 {
					t.Errorf("%s as %s: %d", path, accept, a.status)
				}
			}
		}
	}
	look()
	before := r.said.Len()
	for i, id := range ids {
		for _, accept := range []string{asPage, asJSON} {
			for verb, body := range map[string]string{
				"retry": `{"why":"x"}`, "complete": `{"why":"x","result":{"approved":true,"by":"` + secret + `","extra":"` + secret + `"}}`,
				"fail": `{"why":"x","message":""}`, "reject": `{"why":"","message":"` + secret + `"}`,
			} {
				r.do("POST", "/entries/"+id+"/"+verb, accept, body)
			}
			for _, strange := range []string{callbacks[i], url.PathEscape(callbacks[i] + "x")} {
				r.do("GET", "/entries/"+strange, accept, "")
				r.do("POST", "/entries/"+strange+"/abandon", accept, `{"why":"x"}`)
			}
			r.do("POST", "/bulk", accept, `{"action":"retry","why":"x","rows":[{"id":"`+callbacks[i]+`"},{"id":"`+id+`"}]}`)
		}
		verb := []string{"complete", "fail", "reject", "abandon"}[i%4]
		r.do("POST", "/entries/"+id+"/"+verb, asJSON, map[string]string{
			"complete": `{"why":"x","result":{"approved":true,"by":"` + secret + `"}}`, "fail": `{"why":"x","message":"` + secret + `"}`,
			"reject": `{"why":"x","message":"` + secret + `","type":"Lost"}`, "abandon": `{"why":"x"}`,
		}[verb])
	}
	if _, err := h.Work(t.Context()); err != nil {
		t.Error(err)
	}
	look()
	if r.said.Len() < 2*before || !strings.Contains(r.log.String(), "board: action") || len(r.secrets) < 8*5*4 {
		t.Errorf("only %d bytes were said after %d, and %d secrets planted", r.said.Len(), before, len(r.secrets))
	}
}
