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

// finding is a fake of Temporal that finds every activity to be adopted. The
// deadline of its attempt is the given time away.
type finding struct {
	*asynctest.Completer
	deadline time.Duration
}

func (f finding) Find(_ context.Context, t completer.Target) (completer.Found, error) {
	now := time.Now()
	t.WorkflowType, t.ActivityType, t.TaskQueue, t.RunID = "Expense", "approve", "expenses", "run-1"
	t.Scheduled, t.Started = now.Add(-time.Minute), now.Add(-time.Second)
	return completer.Found{Target: t, Attempt: 1, HeartbeatTimeout: time.Minute, Deadline: now.Add(f.deadline), Status: completer.Status{Pending: true, Running: true, Started: t.Started}}, nil
}

// planted returns an entry of an activity whose token, callback ID, heartbeat
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
	h := asynctest.NewHub(t, async.Options{Store: r.store, Completer: finding{r.temporal, time.Hour}, Logger: logger})
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

// A sender may send a secret without its entry's ID, as a row, as a path, or as
// the value of a filter. The board does not repeat any part of the secret. The
// value of a filter appears only in the form and the links of the sender's own
// page.
func TestSecretAlone(t *testing.T) {
	r := newRig(t)
	c, id := r.entry(nil)
	keyed := start[Decision](r, async.StartOptions{Key: "order-7"})
	for name, secret := range map[string]string{
		"a secret":                       c.ID()[len(id):],
		"a secret of a business key":     keyed.ID()[len(keyed.Info().ID):],
		"two secrets":                    c.ID()[len(id):] + keyed.ID()[len(keyed.Info().ID):],
		"a secret and ten characters":    c.ID()[len(id):] + "0000000000",
		"a secret after another's start": "0000000000" + c.ID()[len(id):],
		"a secret as an ID of a round":   keyed.Info().ID + c.ID()[len(id):],
	} {
		start := c.ID()[len(id):][:8]
		if strings.Contains(name, "business") {
			start = keyed.ID()[len(keyed.Info().ID):][:8]
		}
		said := func(what string, a response) {
			t.Helper()
			if a.status == 200 && !strings.Contains(what, "row") && !strings.Contains(what, "filter") {
				t.Errorf("%s as %s: status 200", name, what)
			}
			var all strings.Builder
			_ = a.header.Write(&all)
			if strings.Contains(strings.ReplaceAll(all.String()+a.body, "<wbr>", ""), start) {
				t.Errorf("%s as %s: the answer has %q:\n%s%s", name, what, start, all.String(), a.body)
			}
		}
		for _, accept := range []string{asPage, asJSON} {
			said("a row, "+accept, r.do("POST", "/bulk", accept, `{"action":"retry","why":"x","rows":[{"id":"`+secret+`"},{"id":"x","round":"`+secret+`"}]}`))
			said("a row of a form, "+accept, r.do("POST", "/bulk", accept, form("action", "abandon", "why", "x", "row", secret+".", "row", "x."+secret)))
			said("a path, "+accept, r.do("GET", "/entries/"+secret, accept, ""))
			said("an unknown path, "+accept, r.do("GET", "/"+secret, accept, ""))
			said("an action's path, "+accept, r.do("POST", "/entries/"+secret+"/abandon", accept, `{"why":"x"}`))
			said("an entry's parameter, "+accept, r.do("GET", "/entries/"+id+"?x="+secret, accept, ""))
			for _, parameter := range []string{"state", "namespace", "type", "result", "workflow", "key", "label", "class", "age", "after", "limit", "watch", "other"} {
				for _, value := range []string{secret, "team=" + secret} {
					a := r.do("GET", "/all?"+url.Values{parameter: {value}}.Encode(), accept, "")
					if accept == asPage {
						for _, own := range []string{`value="` + value + `"`, url.Values{parameter: {value}}.Encode()} {
							a.body = strings.ReplaceAll(a.body, own, "")
						}
					}
					said("a filter: "+parameter+", "+accept, a)
				}
			}
		}
		if log := r.log.String(); strings.Contains(log, start) {
			t.Errorf("%s: the log has %q:\n%s", name, start, log)
		}
	}
}

// The result for an unknown ID repeats at most the time in the ID. A filter
// refuses a callback ID.
func TestUnknownIDs(t *testing.T) {
	r := newRig(t)
	c, id := r.entry(nil)
	keyed := start[Decision](r, async.StartOptions{Key: "order-7"})
	other := id[:10] + strings.Repeat("A", 22)
	for given, want := range map[string]string{
		other:                           id[:8] + "…",
		other + strings.Repeat("A", 22): id[:8] + "…",
		c.ID():                          id[:8] + "…",
		"AAAA" + keyed.Info().ID[4:]:    "?",
		keyed.ID():                      "?",
		"1" + id[1:]:                    "?",
		id[:31]:                         "?",
		id[:31] + "/":                   "?",
		"0" + strings.ToLower(id[1:]):   "?",
		"x":                             "?",
		"":                              "?",
	} {
		a := r.do("POST", "/bulk", asJSON, `{"action":"retry","why":"x","rows":[{"id":"`+given+`"}]}`)
		if len(a.Results) != 1 || a.Results[0].ID != want || a.Results[0].Code != "not-found" {
			t.Errorf("the result for %q is %+v, want the ID %q", given, a.Results, want)
		}
	}
	for _, parameter := range []string{"workflow", "key", "after", "class"} {
		r.do("GET", "/all?"+parameter+"="+c.ID(), asJSON, "").want(t, parameter, 400, "filter")
		if a := r.page("/all?" + parameter + "=" + c.ID()); a.status != 400 || !strings.Contains(a.body, "has the form of a callback ID") {
			t.Errorf("%s: %d\n%s", parameter, a.status, a.body)
		}
	}
}
